// How a connection ends that is let in nowhere: with or without an answer to its CONNECT. Decides nothing.
import type { Duplex } from 'node:stream'

/** CONNACK, return code 5 (MQTT 3.1.1 §3.2.2.3). */
const NOT_AUTHORIZED = Buffer.from([0x20, 0x02, 0x00, 0x05])

const closed = { drop() {} }

export function answerNotAuthorized(stream: Duplex) {
  stream.end(NOT_AUTHORIZED, () => stream.destroy())
  return closed
}

export function closeUnanswered(stream: Duplex) {
  stream.end(() => stream.destroy())
  return closed
}
