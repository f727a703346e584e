// What connections are sent: gathered and written as one buffer for each at the end of the turn, so that many messages cost one
// record and one write. Tells when a client is slow, and lets publishers wait for it briefly. Knows no packets.
import type { Batch, Client, Piece } from '../state.ts'
import type { Traffic } from '../traffic.ts'

/** How long what is sent may wait for more of it, where packets wait to be handled. */
const GATHER_MS = 5
/** How long publishers wait for a consumer that does not read. */
const STALL_MS = 100
/** More than this is written without waiting for the end of the turn. */
const AT_ONCE_BYTES = 262_144
/** Beyond this publishers wait until it is written. */
const GATHERED_BYTES = 65_536

export type Output = ReturnType<typeof createOutput>

export function createOutput(parts: {
  traffic: Traffic
  /** How long a full socket may not drain. */
  timeoutMs: number
  /** Whether packets that were read wait to be handled in this turn's next slice. */
  isBusy(): boolean
  /** A socket was full for so long. */
  onTimeout(client: Client): void
  /** What this client was to be sent is not on disk. */
  onLost(client: Client): void
  /** What waited for the disk is there. */
  onWritten(client: Client): void
  /** It has room: more of what waits for it may be sent. */
  onRoom(client: Client): void
  /** Holds back what a client sends, and lets it go on. */
  hold(client: Client): void
  release(client: Client): void
}) {
  const { traffic } = parts
  let dirty: Client[] = []
  let dirtySince = 0

  function send(client: Client, bytes: Buffer, identifierAt = 0, identifier = 0): void {
    push(client, { bytes, identifierAt, identifier })
  }

  function push(client: Client, piece: Piece): void {
    if (client.phase === 'closed') return
    if (client.out.length === 0) {
      if (dirty.length === 0) {
        dirtySince = performance.now()
        setImmediate(flushAll)
      }
      dirty.push(client)
    }
    client.out.push(piece)
    client.outBytes += piece.bytes.length
    if (client.outBytes > AT_ONCE_BYTES && !client.isFull) flush(client)
  }

  /** Sent once what was written last is on disk, and never before what waits already. Gives what waits. */
  function sendAfter(
    client: Client,
    group: Promise<void> | null,
    bytes: Buffer,
    identifierAt = 0,
    identifier = 0,
  ): Piece {
    const { batches } = client
    const last = batches.at(-1)
    const piece = { bytes, identifierAt, identifier }
    if (last === undefined && group === null) {
      push(client, piece)
      return piece
    }
    if (last !== undefined && (group === null || last.group === group)) {
      last.pieces.push(piece)
      last.bytes += bytes.length
      return piece
    }
    const batch: Batch = { group, pieces: [piece], bytes: bytes.length, inHandBytes: 0 }
    batches.push(batch)
    group!.then(
      () => {
        // Groups come to the disk in their order.
        let done: Batch | undefined
        do {
          done = batches.shift()
          for (const each of done?.pieces ?? []) push(client, each)
          client.inHandBytes -= done?.inHandBytes ?? 0
        } while (done !== undefined && done !== batch)
        parts.onWritten(client)
        if (client.phase === 'open') parts.onRoom(client)
      },
      () => parts.onLost(client),
    )
    return piece
  }

  function flushAll(): void {
    // More is about to be sent to the same: it goes with this, but for a moment at most.
    if (parts.isBusy() && performance.now() - dirtySince < GATHER_MS) {
      setImmediate(flushAll)
      return
    }
    const clients = dirty
    dirty = []
    for (const client of clients) flush(client)
  }

  function flush(client: Client): void {
    const { out, stream } = client
    if (out.length === 0) return
    client.out = []
    client.outBytes = 0
    if (stream.destroyed || stream.writableEnded) return
    const bytes = asOne(out)
    traffic.packetsSent += out.length
    traffic.bytesSent += bytes.length
    client.session.bytesOut += bytes.length
    if (stream.write(bytes)) hasRoom(client)
    else if (!client.isFull) isFull(client)
  }

  function isFull(client: Client): void {
    client.isFull = true
    const { stream } = client
    const timeout = setTimeout(() => parts.onTimeout(client), parts.timeoutMs)
    const onClose = () => clearTimeout(timeout)
    stream.once('close', onClose)
    stream.once('drain', () => {
      clearTimeout(timeout)
      stream.off('close', onClose)
      client.isFull = false
      hasRoom(client)
    })
  }

  function hasRoom(client: Client): void {
    client.isStalled = false
    if (client.stall !== null) clearTimeout(client.stall)
    client.stall = null
    letGo(client)
    if (client.onRoom !== null) {
      const waiting = client.onRoom
      client.onRoom = null
      for (const goOn of waiting) goOn()
    }
    if (client.phase === 'open') parts.onRoom(client)
  }

  function letGo(client: Client): void {
    const held = client.holding
    client.holding = null
    // Not within the handling of another connection's packet.
    if (held !== null)
      setImmediate(() => {
        for (const publisher of held) parts.release(publisher)
      })
  }

  return {
    send,
    sendAfter,
    flush,

    /** A message of so many bytes came from it, whose acknowledgement waits for the disk. */
    takeInHand(client: Client, bytes: number): void {
      const last = client.batches.at(-1)
      if (last === undefined) return
      last.inHandBytes += bytes
      client.inHandBytes += bytes
    },

    /** Bytes that it has not been sent yet. */
    unsentBytes(client: Client): number {
      return client.stream.writableLength + client.outBytes
    },

    /** Bytes that it is to be sent, with those that wait for the disk. */
    owedBytes(client: Client): number {
      let bytes = client.stream.writableLength + client.outBytes
      for (const batch of client.batches) bytes += batch.bytes
      return bytes
    },

    /** A publisher waits for a consumer that has no room, for a moment at most: that is flow control. */
    holdUp(publisher: Client, consumer: Client): void {
      if (consumer.isStalled || publisher.phase !== 'open' || publisher === consumer) return
      if (!consumer.isFull && consumer.outBytes < GATHERED_BYTES) return
      consumer.holding ??= []
      if (consumer.holding.includes(publisher)) return
      consumer.holding.push(publisher)
      parts.hold(publisher)
      consumer.stall ??= setTimeout(() => {
        consumer.stall = null
        consumer.isStalled = true
        letGo(consumer)
      }, STALL_MS).unref()
    },

    /** Calls once when it has room, or when it is given up. */
    whenRoom(client: Client, goOn: () => void): void {
      client.onRoom ??= []
      client.onRoom.push(goOn)
    },

    /** It is given up: nobody waits for it any more. What it was sent goes out; what waits for the disk does not. */
    discard(client: Client): void {
      client.batches.length = 0
      if (client.stall !== null) clearTimeout(client.stall)
      client.stall = null
      letGo(client)
      const waiting = client.onRoom
      client.onRoom = null
      if (waiting !== null) for (const goOn of waiting) goOn()
    },
  }
}

function asOne(pieces: Piece[]): Buffer {
  if (pieces.length === 1 && pieces[0]!.identifierAt === 0) return pieces[0]!.bytes
  let length = 0
  for (const { bytes } of pieces) length += bytes.length
  const whole = Buffer.allocUnsafe(length)
  let at = 0
  for (const { bytes, identifierAt, identifier } of pieces) {
    bytes.copy(whole, at)
    if (identifierAt > 0) {
      whole[at + identifierAt] = identifier >> 8
      whole[at + identifierAt + 1] = identifier & 0xff
    }
    at += bytes.length
  }
  return whole
}
