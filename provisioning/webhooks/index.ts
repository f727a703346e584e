// Webhooks put together: a delivery queue for each that is enabled, started and stopped as the record says.
import { randomUUID } from 'node:crypto'
import type { Actor } from '../../db/audit/audit.ts'
import type { EventLog } from '../../db/events/event-log.ts'
import type { EventReader } from '../../db/events/event-reader.ts'
import type { Registry, RegistryWriter } from '../../db/index.ts'
import {
  prepareWebhookReader,
  type SigningWebhook,
  type Webhook,
  type WebhookReader,
} from '../../db/webhooks/webhook-store.ts'
import type { Log } from '../logging/log.ts'
import type { Reachable } from '../outbound/address-guard.ts'
import { createDeliveryLog, type Delivery, type DeliveryLog } from './delivery-log.ts'
import {
  type DeliveryQueue,
  type DeliveryStatus,
  type DeliveryTiming,
  messageOf,
  startDeliveryQueue,
} from './delivery-queue.ts'
import { createSender, type Outcome, validateWebhookUrl } from './sender.ts'

export type WebhookService = {
  /** The URL as it is kept. Throws an `OutboundFault` where it may not be asked. */
  validate(url: string): string
  /** Null where it is not being served. */
  deliveryStatus(id: string): DeliveryStatus | null
  /** What was sent to it since the service started, 200 events at most; the last attempt first. */
  deliveries(id: string): (Delivery & { nextAttemptAt: number | null })[]
  /** Whether the log holds this event. */
  holds(event: number): boolean
  /** Sends an event of the log again, now and once; null where the log does not hold it, or the webhook is disabled. */
  resend(id: string, event: number): Promise<Delivery | null>
  /** Sends all events from then on (ms since the epoch) again, those that it took, too. False where that cannot be kept now. */
  replay(id: string, since: number): boolean
  /** Sends something that no event is, now and once. */
  test(webhook: Webhook): Promise<Outcome & { tookMs: number }>
  /** Looks at the record: a webhook was made, changed, disabled or removed. Runs by itself every few seconds. */
  look(): void
  close(): void
}

const LOOK_EVERY_MS = 2_000
/** Where nobody has kept a position, events are told from then on: some may come twice. */
const TAKEN_OVER_MS = 60_000
const TIMEOUT_MS = 10_000
const SYSTEM: Actor = { name: 'provisioning', kind: 'service' }

/** `kept` is the position that was kept last. */
type Serving = { webhook: SigningWebhook; queue: DeliveryQueue; kept: number | null }

function startWebhooks(parts: {
  store: WebhookReader
  writer: Pick<RegistryWriter, 'disableWebhook'>
  eventLog: EventLog
  reader: EventReader
  reachable: Reachable
  timing: DeliveryTiming
  /** Where several services share a registry, one of them delivers. */
  leads(): boolean
  shared: boolean
  now: () => number
  log: Pick<
    Log,
    'webhookAnswered' | 'webhookFailing' | 'webhookEventFailed' | 'webhookDisabled' | 'webhooksNotRead'
  >
}): WebhookService {
  const { store, eventLog, reader, log, now } = parts
  const sender = createSender({ reachable: parts.reachable, timeoutMs: TIMEOUT_MS, now })
  const serving = new Map<string, Serving>()
  const logs = new Map<string, DeliveryLog>()
  const timer = setInterval(look, LOOK_EVERY_MS)
  timer.unref()
  look()

  function logOf(id: string): DeliveryLog {
    const log = logs.get(id) ?? createDeliveryLog()
    logs.set(id, log)
    return log
  }

  function look(): void {
    try {
      for (const id of logs.keys()) if (store.webhook(id) === null) logs.delete(id)
      const enabled = new Map((parts.leads() ? store.signing() : []).map(webhook => [webhook.id, webhook]))
      for (const [id, { webhook, queue, kept }] of serving) {
        if (isServedBy(webhook, enabled.get(id)) && !isMoved(id, kept)) continue
        queue.stop()
        serving.delete(id)
      }
      for (const webhook of enabled.values()) if (!serving.has(webhook.id)) serve(webhook)
    } catch (error) {
      log.webhooksNotRead(error)
    }
  }

  /** Another service was asked to send it events again. */
  function isMoved(id: string, kept: number | null): boolean {
    const position = parts.shared ? eventLog.marked(marksOf(id).position) : undefined
    return position !== undefined && position !== kept
  }

  /** Where how far it was told cannot be read now, the next look tries again. */
  function serve(webhook: SigningWebhook): void {
    const { id } = webhook
    const marks = marksOf(id)
    const [position, since] = [eventLog.marked(marks.position), eventLog.marked(marks.failing)]
    if (position === undefined || since === undefined) return
    const failing = since ?? 0
    let said = failing > 0
    const queue = startDeliveryQueue({
      webhook,
      reader,
      sender,
      timing: parts.timing,
      from: {
        position: position ?? firstOf(webhook),
        failingSince: failing > 0 ? failing : null,
      },
      keep(position, since) {
        if (!eventLog.writeMarked([], { name: marks.position, value: position })) return false
        one.kept = position
        return eventLog.writeMarked([], { name: marks.failing, value: since ?? 0 })
      },
      now,
      // Its operator may have been revoked, or its URL changed, since the last look.
      mayDeliver: () => isServedBy(webhook, store.webhook(id)),
      onOutcome(event, outcome) {
        log.webhookAnswered(outcome)
        logOf(id).note(event, outcome)
        if (!outcome.delivered && !said) log.webhookFailing(id, outcome)
        said = !outcome.delivered
      },
      onFailed: (error, event) => log.webhookEventFailed(id, event, error),
      onGiveUp: reason => giveUp(id, marks.failing, reason),
    })
    const one: Serving = { webhook, queue, kept: position }
    serving.set(id, one)
  }

  /** Its own number may be of the time before events were shared. */
  function firstOf({ fromSeq }: SigningWebhook): number {
    return parts.shared ? Math.max(fromSeq, reader.positionAt(now() - TAKEN_OVER_MS)) : fromSeq
  }

  function giveUp(id: string, failing: string, reason: 'gone' | 'unreachable'): void {
    serving.get(id)?.queue.stop()
    parts.writer.disableWebhook(id, reason, SYSTEM).then(
      () => {
        // Enabling it again gives it as much time again.
        eventLog.writeMarked([], { name: failing, value: 0 })
        serving.delete(id)
        log.webhookDisabled(id, reason)
      },
      error => {
        serving.delete(id)
        log.webhooksNotRead(error)
      },
    )
  }

  return {
    validate: text => validateWebhookUrl(text, parts.reachable).href,
    deliveryStatus: id => serving.get(id)?.queue.deliveryStatus() ?? null,
    deliveries(id) {
      const status = serving.get(id)?.queue.deliveryStatus()
      const next = ({ delivered, event }: Delivery) =>
        !delivered && status !== undefined && event > status.position ? status.nextAttemptAt : null
      return (logs.get(id)?.list() ?? []).map(delivery => ({ ...delivery, nextAttemptAt: next(delivery) }))
    },
    holds: seq => parts.reader.after(seq - 1, 1)[0]?.seq === seq,
    async resend(id, seq) {
      const webhook = store.signing().find(one => one.id === id)
      const event = parts.reader.after(seq - 1, 1)[0]
      if (webhook === undefined || event?.seq !== seq) return null
      const attemptedAt = now()
      const begin = performance.now()
      const outcome = await sender.deliver(webhook, messageOf(event))
      log.webhookAnswered(outcome)
      return logOf(id).note(event, {
        ...outcome,
        attemptedAt,
        tookMs: Math.round(performance.now() - begin),
      })
    },
    replay(id, since) {
      serving.get(id)?.queue.stop()
      serving.delete(id)
      const position = parts.reader.positionAt(since)
      const kept = eventLog.writeMarked([], { name: marksOf(id).position, value: position })
      look()
      return kept
    },
    async test({ id, url }) {
      const webhook = store.signing().find(one => one.id === id)
      const begin = performance.now()
      if (webhook === undefined) return { delivered: false, status: null, why: 'it is disabled', tookMs: 0 }
      const data = { message: 'a test of this webhook: nothing happened' }
      const message = { id: `test_${randomUUID()}`, type: 'test', at: now(), data }
      const outcome = await sender.deliver({ url, secret: webhook.secret }, message)
      return { ...outcome, tookMs: Math.round(performance.now() - begin) }
    },
    look,
    close() {
      clearInterval(timer)
      for (const { queue } of serving.values()) queue.stop()
      sender.close()
    },
  }
}

/** Whether what is sent to a webhook as it was read is sent to it as it stands in the record. */
function isServedBy(read: Webhook, recorded: Webhook | null | undefined): boolean {
  if (recorded == null || recorded.disabledAt !== null) return false
  return recorded.url === read.url && String(recorded.kinds) === String(read.kinds)
}

const marksOf = (id: string) => ({ position: `webhook ${id}`, failing: `webhook ${id} failing since` })

/** The record of webhooks, and their sender. */
export function openWebhooks(parts: {
  eventLog: EventLog
  reader: EventReader
  reading: Registry
  writer: RegistryWriter
  leads(): boolean
  shared: boolean
  config: { webhookPrivateAddresses: boolean; webhookTiming: DeliveryTiming }
  log: Log
  now: () => number
}): { store: WebhookReader; service: WebhookService } {
  const { webhookPrivateAddresses: privateAddresses, webhookTiming } = parts.config
  const store = prepareWebhookReader(parts.reading)
  return {
    store,
    service: startWebhooks({ ...parts, store, reachable: { privateAddresses }, timing: webhookTiming }),
  }
}
