// A connection that a gate holds, as the engine sees it: a Duplex whose bytes travel over the pair, within a window each way.
import { Duplex } from 'node:stream'
import { kinds, PAYLOAD_BYTES_MAX } from './frames.ts'
import type { SocketPair } from './socket-pair.ts'
import { createReceiptCount, createSendWindow, WINDOW_BYTES } from './window.ts'

export type RemoteStream = {
  stream: Duplex
  /** Frames of this connection, as they arrive. Throws where the gate heeds no window. */
  data(bytes: Buffer): void
  end(): void
  credit(bytes: number): void
  /** The gate has closed it, or is gone itself. */
  closed(): void
}

export function createRemoteStream(connection: number, pair: SocketPair, onClosed: () => void): RemoteStream {
  const window = createSendWindow()
  const consumed = createReceiptCount()
  let pushedBytes = 0
  let closedByGate = false
  let blocked: (() => void) | null = null

  function sendAll(chunks: Buffer[], bytes: number, done: () => void): void {
    for (const chunk of chunks) pair.sendBytes(connection, chunk)
    if (window.take(bytes)) done()
    else blocked = done
  }

  const stream = new Duplex({
    read() {
      const credit = consumed(pushedBytes)
      pushedBytes = 0
      if (credit > 0) pair.send(kinds.credit, connection, credit)
    },
    write(chunk: Buffer, _encoding, done) {
      sendAll([chunk], chunk.length, done)
    },
    writev(waiting: { chunk: Buffer }[], done) {
      let bytes = 0
      for (const { chunk } of waiting) bytes += chunk.length
      sendAll(
        waiting.map(({ chunk }) => chunk),
        bytes,
        done,
      )
    },
    final(done) {
      pair.send(kinds.end, connection)
      done()
    },
    destroy(error, done) {
      blocked = null
      if (!closedByGate) pair.send(kinds.close, connection)
      onClosed()
      done(error)
    },
  })

  // The original method: the engine may replace `destroy` by an orderly end, and here nothing is left to send.
  const destroy = stream.destroy.bind(stream)

  return {
    stream,
    data(bytes) {
      pushedBytes += bytes.length
      // It sends nothing more once the window is full, which the last frame may have exceeded.
      if (pushedBytes >= WINDOW_BYTES + PAYLOAD_BYTES_MAX)
        throw new Error(`${pushedBytes} bytes nobody has read`)
      // A copy: a message that waits must not keep all of a larger read alive.
      stream.push(Buffer.from(bytes))
    },
    end: () => void stream.push(null),
    credit(bytes) {
      if (!window.give(bytes) || blocked === null) return
      const go = blocked
      blocked = null
      go()
    },
    closed() {
      closedByGate = true
      destroy()
    },
  }
}
