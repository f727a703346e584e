// Whether a run passed, from its counts alone: pure, and every reason is said.
// Exit codes: 0 all good, 1 could not be carried out or proven, 99 something happened that must not.
import type { DeviceFate } from './device.ts'
import type { RogueProof } from './rogue-proof.ts'

export type Breach = { code: 1 | 99; what: string; message: string }

export type Verdict = { passed: boolean; exitCode: 0 | 1 | 99; breaches: Breach[] }

export type VerdictInput = {
  interrupted: boolean
  /** Devices by what had become of them when the run ended. */
  fates: Record<DeviceFate, number>
  lost: number
  subscribeRefused: number
  roguesWanted: number
  proof: RogueProof | null
}

export function judge(input: VerdictInput): Verdict {
  const { interrupted, fates, proof } = input
  const breaches: Breach[] = []
  const add = (count: number, code: 1 | 99, what: string, message: (count: number) => string): void => {
    if (count > 0) breaches.push({ code, what, message: message(count) })
  }

  for (const rogue of proof?.results ?? []) {
    if (rogue.verdict !== 'admitted') continue
    const who = `rogue ${rogue.kind} as client ${rogue.clientId}`
    breaches.push({ code: 99, what: 'rogue_admitted', message: `${who} was let in` })
  }
  add(
    fates.refused,
    99,
    'wrongly_refused',
    n => `${devices(n)} of the fleet turned away by the broker at the end`,
  )
  add(fates.dropped, 99, 'not_back', n => `${devices(n)} dropped and not back at the end`)
  add(input.lost, 99, 'messages_lost', n => `${n} messages sent and never acknowledged`)
  add(input.subscribeRefused, 99, 'subscribe_refused', n => `${n} subscriptions to own commands refused`)
  add(fates.unreachable, 1, 'never_connected', n => `${devices(n)} never reached the broker`)
  if (!interrupted) {
    add(fates.connecting, 1, 'never_connected', n => `${devices(n)} still waiting for an answer at the end`)
  }
  for (const rogue of proof?.results ?? []) {
    if (rogue.verdict !== 'inconclusive') continue
    const message = `rogue ${rogue.kind}: nothing proven (${rogue.saw})`
    breaches.push({ code: 1, what: 'rogue_inconclusive', message })
  }
  if (input.roguesWanted > 0 && proof === null) {
    breaches.push({ code: 1, what: 'rogue_inconclusive', message: 'the rogues were not tried' })
  }

  const exitCode = breaches.some(breach => breach.code === 99) ? 99 : breaches.length > 0 ? 1 : 0
  return { passed: exitCode === 0, exitCode, breaches }
}

function devices(count: number): string {
  return count === 1 ? '1 device' : `${count} devices`
}
