// One end of the socket pair between engine and gate: frames out, gathered within a turn of the event loop; frames in.
// The pair is made when the gate is spawned and has no name: no other process of the machine can connect to it.
import type { Socket } from 'node:net'
import { createFrameParser, type Frame, frameHeader, type Kind } from './frames.ts'

export type SocketPair = {
  /** The payloads travel as one. */
  send(kind: Kind, connection: number, ...payloads: Buffer[]): void
  sendJson(kind: Kind, connection: number, value: unknown): void
  destroy(): void
}

/** `onClosed` is called once, when the other end is gone or sent an invalid frame. */
export function createSocketPair(
  socket: Socket,
  onFrame: (frame: Frame) => void,
  onClosed: () => void,
): SocketPair {
  let corked = false
  const parse = createFrameParser(onFrame)
  socket.on('data', (bytes: Buffer) => {
    try {
      parse(bytes)
    } catch {
      socket.destroy() // the two ends no longer understand each other: its connections end with it
    }
  })
  socket.on('error', () => {})
  socket.once('close', onClosed)

  function uncork(): void {
    corked = false
    socket.uncork()
  }

  function send(kind: Kind, connection: number, ...payloads: Buffer[]): void {
    if (socket.destroyed) return
    if (!corked) {
      corked = true
      socket.cork()
      setImmediate(uncork)
    }
    let bytes = 0
    for (const payload of payloads) bytes += payload.length
    socket.write(frameHeader(kind, connection, bytes))
    for (const payload of payloads) socket.write(payload)
  }

  return {
    send,
    sendJson: (kind, connection, value) => send(kind, connection, Buffer.from(JSON.stringify(value))),
    destroy: () => socket.destroy(),
  }
}
