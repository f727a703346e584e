// What waits in a stream without a reader for now. It arrives in pieces, a TLS record or WebSocket message each, and each costs an
// object of more than a hundred bytes beside its octets: pieces are put together, so that octets cost octets. Changes nothing that
// a later reader sees.
import type { Duplex } from 'node:stream'

type UnreadPieces = {
  /** Looks after the stream whenever it is paused. */
  watch(stream: Duplex): void
  /** For a reader that calls `read()`: no event tells when it waits. */
  add(stream: Duplex): void
  delete(stream: Duplex): void
}

const LOOK_MS = 2
/** Fewer bytes have not come in many pieces. */
const NEW_BYTES_MIN = 512

export function createUnreadPieces(): UnreadPieces {
  /** How many bytes of each are together. */
  const waiting = new Map<Duplex, number>()
  let timer: NodeJS.Timeout | null = null

  function look(): void {
    for (const [stream, together] of waiting) {
      const bytes = stream.readableLength
      // To read from a full stream would ask its peer for more.
      if (bytes - together < NEW_BYTES_MIN || bytes >= stream.readableHighWaterMark) continue
      join(stream)
      waiting.set(stream, stream.readableLength)
    }
  }

  const add = (stream: Duplex) => {
    if (!waiting.has(stream)) waiting.set(stream, 0)
    timer ??= setInterval(look, LOOK_MS).unref()
  }
  const remove = (stream: Duplex) => {
    waiting.delete(stream)
    if (waiting.size > 0 || timer === null) return
    clearInterval(timer)
    timer = null
  }

  return {
    add,
    delete: remove,
    watch(stream) {
      stream.on('pause', () => add(stream))
      stream.on('resume', () => remove(stream))
      stream.on('close', () => remove(stream))
    },
  }
}

/** Takes all out and puts it back as one, while nobody listens. */
function join(stream: Duplex): void {
  const listeners = stream.listeners('data') as ((bytes: Buffer) => void)[]
  stream.removeAllListeners('data')
  const bytes = stream.read(stream.readableLength) as Buffer | null
  for (const listener of listeners) stream.on('data', listener)
  if (bytes !== null) stream.unshift(bytes)
}
