// Brings events to one webhook, in their order as far as a handful at once allows, each at least once: what was not delivered is
// tried again, later and later, for a bounded time. Its position moves on when all of a handful have arrived.
import type { Event, EventReader } from '../../db/events/event-reader.ts'
import type { SigningWebhook } from '../../db/webhooks/webhook-store.ts'
import { createAttempts } from '../attempts.ts'
import { toEventResponse } from '../events/event-response.ts'
import type { Outcome, Sender } from './sender.ts'

/** `attemptedAt` in ms since the epoch. */
export type TimedOutcome = Outcome & { attemptedAt: number; tookMs: number }

/** How it stands since the service started. Times in ms since the epoch. */
export type DeliveryStatus = {
  position: number
  deliveredAt: number | null
  attemptedAt: number | null
  status: number | null
  why: string | null
  failures: number
  failingSince: number | null
  nextAttemptAt: number | null
}
export type DeliveryQueue = { deliveryStatus(): DeliveryStatus; stop(): void }

export type DeliveryTiming = { firstMs: number; mostMs: number; givesUpMs: number; lookMs: number }
export const timing: DeliveryTiming = { firstMs: 1_000, mostMs: 600_000, givesUpMs: 86_400_000, lookMs: 250 }

const AT_ONCE = 8
const ROWS_AT_ONCE = 200
const GONE = 410

export function startDeliveryQueue(parts: {
  webhook: SigningWebhook
  reader: EventReader
  sender: Sender
  timing: DeliveryTiming
  from: { position: number; failingSince: number | null }
  /** Keeps how far it has come; false where that cannot be kept now: then some of it comes twice after a restart. */
  keep(position: number, failingSince: number | null): boolean
  now: () => number
  /** Asked before each handful: whether it is to be sent there still. */
  mayDeliver(): boolean
  onOutcome(event: Event, outcome: TimedOutcome): void
  /** Something that no receiver is the cause of; null where it is about no event. Such an event is left out at last. */
  onFailed(error: unknown, event: number | null): void
  onGiveUp(reason: 'gone' | 'unreachable'): void
}): DeliveryQueue {
  const { webhook, reader, sender, now } = parts
  const wanted = new Set<string>(webhook.kinds)
  const deliveryStatus: DeliveryStatus = {
    position: parts.from.position,
    ...{ deliveredAt: null, attemptedAt: null, status: null, why: null },
    ...{ failures: 0, failingSince: parts.from.failingSince, nextAttemptAt: null },
  }
  /** What is to be delivered next, and the position once it is. */
  let pending: Event[] = []
  let position = deliveryStatus.position
  let seen: number | null = null
  const attempts = createAttempts()
  let stopped = false
  let timer = setTimeout(turn, 0)

  /** Never throws: whatever fails, the next turn comes. */
  async function turn(): Promise<void> {
    let waitMs = parts.timing.firstMs
    try {
      if (pending.length === 0) read()
      const isNow = pending.length > 0 && parts.mayDeliver()
      waitMs = isNow ? await deliverPending() : parts.timing.lookMs
    } catch (error) {
      parts.onFailed(error, null)
    }
    if (stopped) return
    timer = setTimeout(turn, waitMs)
    timer.unref()
  }

  function read(): void {
    const version = reader.dataVersion()
    if (version === null || version === seen) return
    const rows = reader.after(deliveryStatus.position, ROWS_AT_ONCE)
    for (const event of rows) {
      position = event.seq
      if (wanted.size === 0 || wanted.has(event.kind)) pending.push(event)
      if (pending.length === AT_ONCE) return
    }
    if (rows.length < ROWS_AT_ONCE) seen = version
    if (pending.length === 0 && position !== deliveryStatus.position) advance()
  }

  function advance(): void {
    deliveryStatus.position = position
    parts.keep(position, null)
  }

  /** Gives how long to wait then. */
  async function deliverPending(): Promise<number> {
    const outcomes = await Promise.all(pending.map(deliver))
    if (stopped) return 0
    for (const [index, outcome] of outcomes.entries())
      if (outcome !== 'left out') parts.onOutcome(pending[index]!, outcome)
    pending = pending.filter((_, index) => isOpen(outcomes[index]!))
    const failed = outcomes.find(isOpen)
    const last = outcomes.findLast(outcome => outcome !== 'left out')
    Object.assign(deliveryStatus, { attemptedAt: now(), status: last?.status ?? null, why: null })
    if (failed === undefined) {
      Object.assign(deliveryStatus, {
        deliveredAt: now(),
        failures: 0,
        failingSince: null,
        nextAttemptAt: null,
      })
      advance()
      return 0
    }
    return failedAgain(failed)
  }

  /** An event that cannot even be told is tried as often as any item, and then left out. */
  async function deliver(event: Event): Promise<TimedOutcome | 'left out'> {
    const attemptedAt = now()
    const begin = performance.now()
    const timed = (outcome: Outcome) => ({
      ...outcome,
      attemptedAt,
      tookMs: Math.round(performance.now() - begin),
    })
    try {
      const outcome = await sender.deliver(webhook, messageOf(event))
      attempts.succeeded(String(event.seq))
      return timed(outcome)
    } catch (error) {
      parts.onFailed(error, event.seq)
      if (attempts.failed(String(event.seq))) return 'left out'
      return timed({ delivered: false, status: null, why: 'the event cannot be told: the log says why' })
    }
  }

  function failedAgain({ status, why }: Outcome): number {
    const at = now()
    deliveryStatus.failures += 1
    deliveryStatus.failingSince ??= at
    Object.assign(deliveryStatus, { status, why })
    parts.keep(deliveryStatus.position, deliveryStatus.failingSince)
    if (status === GONE) parts.onGiveUp('gone')
    else if (at - deliveryStatus.failingSince >= parts.timing.givesUpMs) parts.onGiveUp('unreachable')
    const most = Math.min(
      parts.timing.mostMs,
      parts.timing.firstMs * 2 ** Math.min(deliveryStatus.failures - 1, 20),
    )
    // Half of it is chance: receivers that many wait for are not asked by all at once.
    const waitMs = most / 2 + Math.random() * (most / 2)
    deliveryStatus.nextAttemptAt = at + Math.round(waitMs)
    return waitMs
  }

  return {
    deliveryStatus: () => ({ ...deliveryStatus }),
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

function isOpen(outcome: TimedOutcome | 'left out'): outcome is TimedOutcome {
  return outcome !== 'left out' && !outcome.delivered
}

/** The same event has the same ID however often it is sent. */
export function messageOf(event: Event) {
  return { id: `event_${event.seq}`, type: event.kind, at: event.at, data: toEventResponse(event) }
}
