// What was sent to one webhook lately: for each event its last attempt. In memory, so a restart begins anew; the log of events
// itself is on disk, and any event of it can be sent again.
import type { Event } from '../../db/events/event-reader.ts'
import type { Outcome } from './sender.ts'

/** `attemptedAt` in ms since the epoch. */
export type Delivery = Outcome & {
  event: number
  type: string
  deviceId: string | null
  attempts: number
  attemptedAt: number
  tookMs: number
}

export type DeliveryLog = {
  /** Gives what is known of the event then. */
  note(event: Event, attempt: Outcome & { attemptedAt: number; tookMs: number }): Delivery
  /** The event that was tried last comes first. */
  list(): Delivery[]
}

/** Events of one webhook; the one whose last attempt is longest ago is forgotten first. */
const EVENTS_MAX = 200

export function createDeliveryLog(): DeliveryLog {
  const deliveries = new Map<number, Delivery>()
  return {
    note({ seq, kind, deviceId }, attempt) {
      const attempts = (deliveries.get(seq)?.attempts ?? 0) + 1
      deliveries.delete(seq)
      if (deliveries.size >= EVENTS_MAX) deliveries.delete(deliveries.keys().next().value!)
      const delivery = { event: seq, type: kind, deviceId, attempts, ...attempt }
      deliveries.set(seq, delivery)
      return delivery
    },
    list: () => [...deliveries.values()].reverse(),
  }
}
