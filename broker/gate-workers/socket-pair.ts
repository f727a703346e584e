// One end of the socket pair between engine and gate: frames out, gathered and written as one; frames in.
// The pair is made when the gate is spawned and has no name: no other process of the machine can connect to it.
import type { Socket } from 'node:net'
import {
  createFrameParser,
  createFrameWriter,
  type Frame,
  type Kind,
  kinds,
  PAYLOAD_BYTES_MAX,
  type Payload,
} from './frames.ts'

export type SocketPair = {
  send(kind: Kind, connection: number, payload?: Payload): void
  sendJson(kind: Kind, connection: number, value: unknown): void
  /** Of a stream, in as many frames as it takes. */
  sendBytes(connection: number, bytes: Buffer): void
  destroy(): void
}

/**
 * `onClosed` is called once, when the other end is gone or sent an invalid frame. `atTheEnd` calls back when frames need not wait for
 * others any more.
 */
export function createSocketPair(
  socket: Socket,
  onFrame: (frame: Frame) => void,
  onClosed: () => void,
  atTheEnd: (write: () => void) => void,
): SocketPair {
  const writer = createFrameWriter()
  const parse = createFrameParser(onFrame)
  let isDue = false
  socket.on('data', (bytes: Buffer) => {
    try {
      if (!socket.destroyed) parse(bytes)
    } catch {
      socket.destroy() // the two ends no longer understand each other: its connections end with it
    }
  })
  socket.on('error', () => {})
  socket.once('close', onClosed)

  function write(): void {
    isDue = false
    const pieces = writer.take()
    if (socket.destroyed) return
    for (const piece of pieces) socket.write(piece)
  }

  function send(kind: Kind, connection: number, payload: Payload = ''): void {
    if (socket.destroyed) return
    writer.add(kind, connection, payload)
    if (isDue) return
    isDue = true
    atTheEnd(write)
  }

  return {
    send,
    sendJson: (kind, connection, value) => send(kind, connection, JSON.stringify(value)),
    sendBytes(connection, bytes) {
      for (let at = 0; at < bytes.length; at += PAYLOAD_BYTES_MAX)
        send(kinds.data, connection, bytes.subarray(at, at + PAYLOAD_BYTES_MAX))
    },
    destroy: () => socket.destroy(),
  }
}
