// Messages over a socket: four bytes of length, then JSON. Bounded; a peer that is silent for too long is gone.
// Does not know what the messages mean.
import type { Socket } from 'node:net'

export type Peer = {
  send(message: unknown): void
  /** `how` is what the listener gets. */
  close(how: string): void
}

type PeerListener = {
  /** What it throws ends the connection. */
  message(message: unknown): void
  /** Once. */
  ended(how: string): void
}

/** Enough for the streams of a hundred thousand devices at the end of a run. */
const FRAME_BYTES_MAX = 64 * 1024 * 1024
const HEAD_BYTES = 4

/** Answers `listener` for everything that the peer says from now on. */
export function openPeer(socket: Socket, silenceMaxMs: number, listener: PeerListener): Peer {
  let pieces: Buffer[] = []
  let bytes = 0
  let needed = HEAD_BYTES
  let how: string | null = null
  const silence = setTimeout(() => close(`silent for ${silenceMaxMs / 1000} s`), silenceMaxMs)

  function close(reason: string): void {
    how ??= reason
    socket.destroy()
  }

  /** The first message of what has come, or null where it is not whole. */
  function next(): Buffer | null {
    if (how !== null || bytes < needed) return null
    const all = Buffer.concat(pieces)
    const length = all.readUInt32BE(0)
    pieces = [all]
    if (length > FRAME_BYTES_MAX) close(`a message of ${length} bytes, more than ${FRAME_BYTES_MAX}`)
    needed = HEAD_BYTES + length
    if (how !== null || bytes < needed) return null
    pieces = [all.subarray(needed)]
    bytes -= needed
    const message = all.subarray(HEAD_BYTES, needed)
    needed = HEAD_BYTES
    return message
  }

  socket.on('data', (piece: Buffer) => {
    silence.refresh()
    pieces.push(piece)
    bytes += piece.length
    try {
      for (let message = next(); message; message = next()) {
        listener.message(JSON.parse(message.toString('utf8')))
      }
    } catch (error) {
      close(`what it sent cannot be used: ${(error as Error).message}`)
    }
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    how ??= error.code ?? error.message
  })
  socket.on('end', () => close('it closed the connection'))
  socket.once('close', () => {
    clearTimeout(silence)
    pieces = []
    listener.ended(how ?? 'it closed the connection')
  })

  return {
    send(message) {
      if (how !== null || !socket.writable) return
      const text = Buffer.from(JSON.stringify(message))
      if (text.length > FRAME_BYTES_MAX) {
        close(`a message of ${text.length} bytes cannot be sent, ${FRAME_BYTES_MAX} is the maximum`)
        return
      }
      const head = Buffer.alloc(HEAD_BYTES)
      head.writeUInt32BE(text.length)
      socket.cork()
      socket.write(head)
      socket.write(text)
      socket.uncork()
    },
    close,
  }
}
