// Webhooks: where events are sent, and the verbs on them.
import type { Transport } from './transport.ts'

/** `kinds` empty or absent for all. */
export type NewWebhook = { url: string; kinds?: string[] }
export type WebhookChange = { url?: string; kinds?: string[]; enabled?: boolean }
/** Times are RFC 3339 UTC. */
export type Webhook = {
  id: string
  url: string
  kinds: string[]
  state: 'enabled' | 'failing' | 'disabled'
  createdAt: string
  createdBy: string
  disabledAt: string | null
  disabledReason: string | null
  position: number | null
  deliveredAt: string | null
  attemptedAt: string | null
  status: number | null
  why: string | null
  failures: number
  nextAttemptAt: string | null
}
export type WebhookTest = {
  delivered: boolean
  status: number | null
  why: string | null
  milliseconds: number
}

/** One event that was sent to a webhook, and its last attempt. `event` is the event's `seq`. */
export type WebhookDelivery = {
  event: number
  type: string
  deviceId: string | null
  delivered: boolean
  status: number | null
  why: string | null
  attempts: number
  attemptedAt: string
  milliseconds: number
  nextAttemptAt: string | null
}

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export function webhookVerbs(call: Transport['call'], walk: Walk) {
  const path = (id: string) => `/v1/webhooks/${encodeURIComponent(id)}`
  return {
    /** The answer is the only place that shows the secret. */
    add: (wanted: NewWebhook) => call<Webhook & { secret: string }>('POST', '/v1/webhooks', wanted),
    pages: () => walk<Webhook>('/v1/webhooks', {}),
    show: (id: string) => call<Webhook>('GET', path(id)),
    change: (id: string, change: WebhookChange) => call<Webhook>('PATCH', path(id), change),
    remove: (id: string) => call<void>('DELETE', path(id)),
    /** What was sent to it since the service started, 200 events at most; the last attempt first. */
    deliveries: (id: string) => walk<WebhookDelivery>(`${path(id)}/deliveries`, {}),
    /** Sends an event of the log again, now and once. */
    resend: (id: string, event: number) => call<WebhookDelivery>('POST', `${path(id)}/deliveries`, { event }),
    /** Sends all events from `since` (RFC 3339) on again, those that it took, too. */
    replay: (id: string, since: string) => call<Webhook>('POST', `${path(id)}/replay`, { since }),
    /** Sends it a message that says it is a test. */
    test: (id: string) => call<WebhookTest>('POST', `${path(id)}/test`),
  }
}
