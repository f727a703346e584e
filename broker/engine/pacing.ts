// How a connection is read: in slices of an event-loop turn, no faster than its device may send, and with no more in hand than one
// packet may have. What is not read stays in the socket, and TCP slows the device down. Judges no packet.
import type { BrokerSettings } from '../config.ts'
import type { Inside, Packet } from './aedes-client.ts'
import type { DeviceBounds } from './device-bounds.ts'
import type { Session } from './sessions.ts'
import {
  type Buckets,
  createBuckets,
  type RateBounds,
  type TokenBucket,
  take,
  waitMs,
} from './token-bucket.ts'

/** For how long packets of one connection are handled in one turn: then it is the turn of others. */
const SLICE_MS = 1
/** So often a device that is not read is known not to be silent: its keep-alive counts from then on. */
const LOOK_MS = 1_000

export type PacingParts = {
  buckets: Buckets
  /** What the device of this connection may send. */
  boundsOf(client: Inside): RateBounds
  /** Bytes of messages that may be handled at once; no more is read until all of them are done. */
  inHandBytesMax: number
  /** Monotonic milliseconds. */
  now(): number
  /** A device has sent more than it may, and is not read for a while. */
  onHeld(client: Inside): unknown
}

/** As the settings have it, for all connections of a broker. */
export function createPacing(
  settings: Pick<BrokerSettings, 'packetBytesMax'>,
  boundsOf: (isBackend: boolean) => DeviceBounds,
  onHeld: (session: Session) => void,
): PacingParts {
  const now = () => performance.now()
  return {
    buckets: createBuckets(now),
    boundsOf: ({ session }) => boundsOf(session?.rights.isBackend === true).rate,
    inHandBytesMax: settings.packetBytesMax,
    now,
    onHeld: ({ session }) => session !== undefined && onHeld(session),
  }
}

/** What a packet takes: a message each, a filter each; what answers the broker is free, for the broker sent more. */
export function tokensOf({ cmd, length, subscriptions, unsubscriptions }: Packet) {
  switch (cmd) {
    case 'publish':
    case 'pingreq':
      return { messages: 1, bytes: length }
    case 'subscribe':
      return { messages: subscriptions?.length ?? 1, bytes: length }
    case 'unsubscribe':
      return { messages: unsubscriptions?.length ?? 1, bytes: length }
    default:
      return null
  }
}

export function pace(client: Inside, deviceId: string, parts: PacingParts): void {
  const { conn, _parser: parser } = client
  const [handle] = parser.listeners('packet')
  const nextBatch = client._nextBatch
  const read = conn.read.bind(conn)
  let bucket: TokenBucket | null = null
  /** Packets that were read and are not handled yet, from `next` on: what is left of the piece that was read last. */
  let waiting: Packet[] = []
  let next = 0
  let isHeld = false
  let sliceEnds = 0
  let inHandBytes = 0

  // While nothing is read, the end of the stream is not seen either: what came before it is handled first.
  conn.read = size => {
    if (client.closed) return read(size)
    if (isHeld || inHandBytes > parts.inHandBytesMax) return null
    sliceEnds = parts.now() + SLICE_MS
    return read(size)
  }
  conn.once('close', () => {
    waiting = []
    if (bucket !== null) parts.buckets.leave(deviceId, parts.boundsOf(client))
  })

  function begin(packet: Packet): void {
    const sent = tokensOf(packet)
    let heldMs = 0
    if (sent !== null) {
      const bounds = parts.boundsOf(client)
      bucket ??= parts.buckets.enter(deviceId, bounds)
      heldMs = take(bucket, bounds, sent, parts.now())
    }
    if (packet.cmd === 'publish' && client.connackSent) handlePublish(packet)
    else handle?.call(parser, packet)
    if (heldMs > 0) {
      parts.onHeld(client)
      hold(heldMs)
    } else if (!isHeld && parts.now() >= sliceEnds) {
      isHeld = true
      setImmediate(goOn)
    }
  }

  /** aedes takes `_nextBatch` as what to call once the packet is done with, and to read on. */
  function handlePublish(packet: Packet): void {
    const { length } = packet
    inHandBytes += length
    client._nextBatch = error => {
      inHandBytes -= length
      nextBatch(error)
    }
    handle?.call(parser, packet)
    client._nextBatch = nextBatch
  }

  function hold(heldMs: number): void {
    isHeld = true
    setTimeout(
      () => {
        if (client.closed || bucket === null) return
        client._keepaliveTimer?.refresh()
        const owedMs = waitMs(bucket, parts.boundsOf(client), parts.now())
        if (owedMs > 0) hold(owedMs)
        else goOn()
      },
      Math.min(heldMs, LOOK_MS),
    ).unref()
  }

  function goOn(): void {
    isHeld = false
    sliceEnds = parts.now() + SLICE_MS
    while (!isHeld && !client.closed) {
      const packet = waiting[next]
      if (packet === undefined) {
        waiting = []
        next = 0
        nextBatch()
        return
      }
      next += 1
      begin(packet)
    }
  }

  parser.removeAllListeners('packet')
  parser.on('packet', packet => {
    if (isHeld || waiting.length > 0) waiting.push(packet)
    else begin(packet)
  })
}
