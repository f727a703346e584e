// Tracks the numbered messages that each subscriber received: duplicates, disorder and gaps, for each sender and topic.
// Pure. Does not know MQTT.

/** What the sender of one topic says at the end. Times as in stamps. */
export type Stream = {
  stream: number
  topic: string
  qos: 0 | 1 | 2
  sent: number
  firstSentAt: number
  /** Sent, and never acknowledged: the broker does not owe their delivery. */
  unacknowledged: number[]
}

export type Delivery = 'first' | 'duplicate' | 'late'

export type DeliveryTracker = {
  arrived(subscriber: number, stream: number, sequence: number, qos: 0 | 1 | 2): Delivery
  /**
   * The subscriber was away: counting goes on at the next message, and messages in between are not missing. Where its
   * session is kept, that holds for QoS 0 alone.
   */
  wasAway(subscriber: number, sessionStays: boolean): void
  /**
   * How many messages of a stream a subscriber lacks. `fromStart`: it was listening before the first was sent, so
   * nothing may be missing. Null where nothing can be said: it came later and has not received any.
   */
  lacking(subscriber: number, stream: Stream, fromStart: boolean): number | null
  /** Pairs of subscriber and stream that were not kept for lack of room. */
  overflow(): number
}

type Entry = {
  qos: 0 | 1 | 2
  first: number
  next: number
  missing: Set<number> | null
  /** Missing beyond what `missing` may hold. */
  missingMore: number
  away: boolean
  /** Sent during the last absence: may still arrive, and is not missing. */
  skippedFrom: number
  skippedTo: number
}

const ENTRIES_MAX = 2_000_000
const MISSING_MAX = 10_000

export function createDeliveryTracker(entriesMax = ENTRIES_MAX): DeliveryTracker {
  const bySubscriber = new Map<number, Map<number, Entry>>()
  let entries = 0
  let overflow = 0

  function open(subscriber: number, stream: number, sequence: number, qos: 0 | 1 | 2): void {
    if (entries >= entriesMax) {
      overflow++
      return
    }
    entries++
    let streams = bySubscriber.get(subscriber)
    if (!streams) {
      streams = new Map()
      bySubscriber.set(subscriber, streams)
    }
    streams.set(stream, {
      qos,
      first: sequence,
      next: sequence + 1,
      missing: null,
      missingMore: 0,
      away: false,
      skippedFrom: 0,
      skippedTo: -1,
    })
  }

  function miss(entry: Entry, from: number, to: number): void {
    for (let sequence = from; sequence <= to; sequence++) {
      entry.missing ??= new Set()
      if (entry.missing.size < MISSING_MAX) entry.missing.add(sequence)
      else entry.missingMore++
    }
  }

  return {
    arrived(subscriber, stream, sequence, qos) {
      const entry = bySubscriber.get(subscriber)?.get(stream)
      if (!entry) {
        open(subscriber, stream, sequence, qos)
        return 'first'
      }
      if (sequence >= entry.next) {
        if (entry.away) {
          entry.skippedFrom = entry.next
          entry.skippedTo = sequence - 1
        } else miss(entry, entry.next, sequence - 1)
        entry.away = false
        entry.next = sequence + 1
        return 'first'
      }
      if (entry.missing?.delete(sequence)) return 'late'
      if (sequence < entry.first) {
        // Older than what it began with: what lies between is known to be missing until it comes.
        miss(entry, sequence + 1, entry.first - 1)
        entry.first = sequence
        return 'late'
      }
      return sequence >= entry.skippedFrom && sequence <= entry.skippedTo ? 'late' : 'duplicate'
    },
    wasAway(subscriber, sessionStays) {
      for (const entry of bySubscriber.get(subscriber)?.values() ?? []) {
        if (!sessionStays || entry.qos === 0) entry.away = true
      }
    },
    lacking(subscriber, stream, fromStart) {
      const entry = bySubscriber.get(subscriber)?.get(stream.stream)
      const excused = new Set(stream.unacknowledged)
      const unexcused = (from: number, to: number): number => {
        let count = Math.max(0, to - from + 1)
        for (const sequence of excused) if (sequence >= from && sequence <= to) count--
        return count
      }
      if (!entry) return fromStart ? unexcused(1, stream.sent) : null
      let missing = entry.missingMore
      for (const sequence of entry.missing ?? []) if (!excused.has(sequence)) missing++
      if (fromStart && entry.first > 1) missing += unexcused(1, entry.first - 1)
      // Away since the last message: later ones are not missing.
      if (!entry.away) missing += unexcused(entry.next, stream.sent)
      return missing
    },
    overflow: () => overflow,
  }
}
