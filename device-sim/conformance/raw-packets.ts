// Packets octet by octet, as no library writes them, and clauses that consist of sending one.
import type { Clause } from './clause.ts'
import { holds, type Trial } from './trial.ts'

export function text(of: string | Buffer): Buffer {
  const bytes = Buffer.from(of)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

type Connect = {
  flags?: number
  /** What follows the variable header; the client ID by default. */
  payload?: Buffer
  name?: string
  level?: number
  /** The octets of the properties, without their length. */
  properties?: number[]
}

/** A CONNECT of less than 128 octets. */
export function rawConnect({ version, clientId }: Trial, connect: Connect = {}): Buffer {
  const { flags = 2, payload = text(clientId), name = 'MQTT', level = version, properties = [] } = connect
  const head = [level, flags, 0, 60, ...(version === 5 ? [properties.length, ...properties] : [])]
  const body = Buffer.concat([text(name), Buffer.from(head), payload])
  return Buffer.concat([Buffer.from([0x10, body.length]), body])
}

type Publish = { first?: number; topic?: Buffer | string; messageId?: number[]; properties?: number[] }

/** A PUBLISH of less than 128 octets without a payload: of QoS 0 to `base/a`, unless said otherwise. */
export function rawPublish({ version, base }: Trial, publish: Publish = {}): Buffer {
  const { first = 0x30, topic = `${base}/a`, messageId = [], properties = [] } = publish
  const rest = [...messageId, ...(version === 5 ? [properties.length, ...properties] : [])]
  const body = Buffer.concat([text(topic), Buffer.from(rest)])
  return Buffer.concat([Buffer.from([first, body.length]), body])
}

/** Octets after a CONNECT, or in its place, that must end the connection. */
export const closing = (
  id: Clause['id'],
  what: string,
  bytes: (trial: Trial) => Buffer | number[],
  connected = true,
): Clause => ({
  id,
  what,
  async play(trial) {
    const peer = connected ? (await trial.connect()).peer : await trial.open()
    peer.raw(Buffer.from(bytes(trial)))
    await peer.closes(what)
    const connack = connected ? null : await peer.expect('connack').catch(() => null)
    holds(
      connack === null || (connack.reasonCode ?? connack.returnCode ?? 0) !== 0,
      `${what} was answered by CONNACK 0`,
    )
  },
})
