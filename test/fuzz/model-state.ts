// What the model knows of each device, its session and messages; and the device that a command is about. Data alone.
import { type Command, devices, NEVER_SECONDS, type Step } from './commands.ts'
import type { createRollModel, Listed } from './model-roll.ts'

/** `noLocal` by filter. */
export type Filters = Map<string, boolean>
/** `expiresAt` is Infinity for a message without expiry; `doubtful` once it had passed, for a clock may be set back. */
export type Message = {
  topic: string
  payload: string
  publisher: Device
  expiresAt: number
  doubtful: boolean
}
/** What outlives a connection: until `endsAt` where its device is away, by `expiryMs` from its disconnection. */
export type Stored = { filters: Filters; queue: Message[]; expiryMs: number; endsAt: number }
export type Session = {
  listed: Listed
  five: boolean
  askedMs: number
  will: boolean
  willDelayMs: number
  rightEndsAt: number
  filters: Filters
  /** Whether CONNACK said that it may retain. */
  retains: boolean
}
export type Device = {
  id: string
  session: Session | null
  stored: Stored | null
  reader: boolean
  /** A will that waits for its delay. */
  waiting: { listed: Listed; dueAt: number } | null
}
/** What a step should look like from outside: its answer, the messages that devices must receive, and those they may. */
export type Expected = { answer: string; must: Set<string>; may: Set<string> }
const BANNED = ['certificate_suspended', 'certificate_revoked', 'device_suspended', 'device_decommissioned']
export const [NO_SUBSCRIBERS, NOT_AUTHORIZED, NO_IDENTIFIER] = [0x10, 0x87, 0x85]
const BANNED_CODE = 0x8a
export const EVER = Number.POSITIVE_INFINITY

/** Reason Code of MQTT 5 for a certificate that is refused. */
export const codeOf = (refused: string) => (BANNED.includes(refused) ? BANNED_CODE : NOT_AUTHORIZED)
/** A certificate of such a status may admit its device again. */
export const MAY_ADMIT: readonly string[] = ['pending', 'issued', 'active', 'superseded', 'suspended']

export const msOf = (seconds: number) => (seconds === NEVER_SECONDS ? EVER : seconds * 1_000)

export const willTopic = ({ id }: Device) => `devices/${id}/will`

export const willOf = (device: Device, doubtful: boolean): Message => ({
  topic: willTopic(device),
  payload: `will of ${device.id}`,
  publisher: device,
  expiresAt: EVER,
  doubtful,
})

/** Names what a command is about: a certificate by its name, and a connected device if there is one. */
export function namedBy(
  command: Command,
  fleet: ReadonlyMap<string, Device>,
  roll: ReturnType<typeof createRollModel>,
): Step {
  if (command.do === 'publish' || command.do === 'subscribe') {
    const here = [...fleet.values()].filter(({ session }) => session !== null)
    const device = here[devices.indexOf(command.device as never) % here.length]?.id ?? command.device
    return { ...command, device }
  }
  if (command.do === 'clock' && command.from === 'next end') {
    const ends = [...fleet.values()].flatMap(({ session, stored, waiting }) => [
      session?.rightEndsAt ?? EVER,
      stored?.endsAt ?? EVER,
      waiting?.dueAt ?? EVER,
    ])
    const next = Math.min(...ends.filter(end => end > roll.now()))
    return { ...command, ms: (Number.isFinite(next) ? next - roll.now() : 0) + command.ms }
  }
  if (command.do === 'enroll' && typeof command.by === 'number') {
    return { ...command, by: roll.askerOf(command) }
  }
  if (!('certificate' in command) || typeof command.certificate === 'string') return command as Step
  const { device, nth } = command.certificate
  const name = roll.fleet.get(device)!.listed.at(-1 - nth)?.name ?? `${device}.4`
  return { ...command, certificate: name } as Step
}
