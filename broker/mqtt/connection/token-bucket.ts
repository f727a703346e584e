// How fast one device may send: a token bucket for messages and one for bytes, which outlive its connections. Pure: takes the clock,
// and tells how long to stop reading; stops nothing itself.

/** `…PerSecond` is what flows back, `…Burst` the most that is ever there. */
export type RateBounds = {
  messagesPerSecond: number
  messagesBurst: number
  bytesPerSecond: number
  bytesBurst: number
}

/** Tokens are negative where more was taken than was there. `at` in ms, of a clock that never goes back. */
export type TokenBucket = { messages: number; bytes: number; at: number }

/** What of a bucket goes to another node, whose clock is another one: the tokens that were left so many ms ago. */
export type TokensLeft = { messages: number; bytes: number; agoMs: number }

export function newBucket(bounds: RateBounds, now: number): TokenBucket {
  return { messages: bounds.messagesBurst, bytes: bounds.bytesBurst, at: now }
}

/**
 * Takes what was sent, also more than is there: a packet that has arrived is handled. Gives for how many ms nothing more is to be
 * read, 0 where tokens are left.
 */
export function take(
  bucket: TokenBucket,
  bounds: RateBounds,
  sent: { messages: number; bytes: number },
  now: number,
): number {
  bucket.messages -= sent.messages
  bucket.bytes -= sent.bytes
  return bucket.messages >= 0 && bucket.bytes >= 0 ? 0 : waitMs(bucket, bounds, now)
}

const ROUNDING_MS = 1e-6

/** How many ms it takes until nothing is owed any more. */
export function waitMs(bucket: TokenBucket, bounds: RateBounds, now: number): number {
  refill(bucket, bounds, now)
  const owed = Math.max(-bucket.messages / bounds.messagesPerSecond, -bucket.bytes / bounds.bytesPerSecond)
  return Math.max(0, Math.ceil(owed * 1_000 - ROUNDING_MS))
}

function refill(bucket: TokenBucket, bounds: RateBounds, now: number): void {
  const seconds = Math.max(0, now - bucket.at) / 1_000
  bucket.messages = Math.min(bounds.messagesBurst, bucket.messages + seconds * bounds.messagesPerSecond)
  bucket.bytes = Math.min(bounds.bytesBurst, bucket.bytes + seconds * bounds.bytesPerSecond)
  bucket.at = now
}

function isFull(bucket: TokenBucket, bounds: RateBounds): boolean {
  return bucket.messages >= bounds.messagesBurst && bucket.bytes >= bounds.bytesBurst
}

/** So many devices that have gone are remembered; beyond, those that left first begin anew. */
const GONE_MAX = 10_000

/**
 * The buckets of devices, one for all connections of a device: a device that comes back, or takes its session over, finds its own as it
 * was left, and filled by the time since. `now` gives monotonic milliseconds.
 */
export function createBuckets(now: () => number) {
  const live = new Map<string, { bucket: TokenBucket; connections: number }>()
  const gone = new Map<string, TokenBucket>()

  function remember(deviceId: string, bucket: TokenBucket): void {
    gone.delete(deviceId)
    gone.set(deviceId, bucket)
    if (gone.size > GONE_MAX) gone.delete(gone.keys().next().value!)
  }

  return {
    enter(deviceId: string, bounds: RateBounds): TokenBucket {
      const own = live.get(deviceId) ?? {
        bucket: gone.get(deviceId) ?? newBucket(bounds, now()),
        connections: 0,
      }
      gone.delete(deviceId)
      own.connections += 1
      live.set(deviceId, own)
      return own.bucket
    },
    leave(deviceId: string, bounds: RateBounds): void {
      const own = live.get(deviceId)
      if (own === undefined) return
      own.connections -= 1
      if (own.connections > 0) return
      live.delete(deviceId)
      refill(own.bucket, bounds, now())
      if (!isFull(own.bucket, bounds)) remember(deviceId, own.bucket)
    },
    /** What the device has left; null where that is all, or nobody knows. */
    left(deviceId: string): TokensLeft | null {
      const bucket = live.get(deviceId)?.bucket ?? gone.get(deviceId)
      if (bucket === undefined) return null
      return { messages: bucket.messages, bytes: bucket.bytes, agoMs: Math.max(0, now() - bucket.at) }
    },
    /** What the device had left at another node, before it comes to this one. */
    takeIn(deviceId: string, { messages, bytes, agoMs }: TokensLeft): void {
      if (!live.has(deviceId)) remember(deviceId, { messages, bytes, at: now() - agoMs })
    },
    remembered: () => live.size + gone.size,
  }
}
