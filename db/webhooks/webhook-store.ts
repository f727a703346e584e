// Webhooks on record. The secret is given once, when one is made, and to the signer; it is in no audit row, nor is the path
// of a URL, which may hold another.
import { randomBytes, randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { EventKind } from '../events/event-kind.ts'
import type { Registry } from '../open.ts'
import type { Page } from '../page.ts'
import type { Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'

/** `kinds` empty for all. Times in ms since the epoch. */
export type Webhook = {
  id: string
  url: string
  kinds: EventKind[]
  fromSeq: number
  createdAt: number
  createdBy: string
  disabledAt: number | null
  disabledReason: string | null
}
export type SigningWebhook = Webhook & { secret: string }
export type WebhookChange = { url?: string; kinds?: EventKind[]; enabled?: boolean }

/** One event by its number, or all since a time in ms since the epoch. */
export type SentAgain = { event: number } | { since: number }

type WebhookWriter = {
  /** The secret is given here and never again. @throws {Conflict} `webhooks_exceeded` */
  addWebhook(
    webhook: { url: string; kinds: EventKind[]; fromSeq: number },
    actor: Actor,
  ): Promise<{ id: string; secret: string }>
  /** With another URL, or enabled, it is the actor that answers for it from now on. @throws {Conflict} `webhook_unknown` */
  changeWebhook(id: string, change: WebhookChange, actor: Actor): Promise<void>
  /** Sends it nothing more, until somebody enables it; again changes nothing. */
  disableWebhook(id: string, reason: string, actor: Actor): Promise<void>
  /** Puts on record that events are sent to it again, before they are. */
  noteSentAgain(id: string, what: SentAgain, actor: Actor): Promise<void>
  /** @throws {Conflict} `webhook_unknown` */
  removeWebhook(id: string, actor: Actor): Promise<void>
}

export type WebhookReader = {
  webhook(id: string): Webhook | null
  webhooks(after: string | null, limit: number): Page<Webhook>
  signing(): SigningWebhook[]
}

const WEBHOOKS_MAX = 50
const SECRET_BYTES = 32

export function createWebhookWriter(registry: Registry, now: () => number): WebhookWriter {
  async function change(
    transaction: Transaction<Schema>,
    id: string,
    set: Partial<Schema['webhooks']>,
  ): Promise<void> {
    const { numUpdatedRows } = await transaction
      .updateTable('webhooks')
      .set(set)
      .where('id', '=', id)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) throw unknown(id)
  }

  return {
    addWebhook: ({ url, kinds, fromSeq }, actor) =>
      transact(registry, async transaction => {
        const { count } = await transaction
          .selectFrom('webhooks')
          .select(({ fn }) => fn.countAll<number>().as('count'))
          .executeTakeFirstOrThrow()
        if (count >= WEBHOOKS_MAX)
          throw new Conflict('webhooks_exceeded', `there are ${count} webhooks already`)
        const at = now()
        const id = randomUUID()
        const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`
        await transaction
          .insertInto('webhooks')
          .values({
            ...{ id, url, kinds: JSON.stringify(kinds), secret, from_seq: fromSeq },
            ...{ created_at: at, created_by: actor.name, disabled_at: null, disabled_reason: null },
          })
          .execute()
        const detail = { origin: new URL(url).origin, kinds }
        await appendAudit(transaction, { at, actor, action: 'webhook.add', target: id, detail })
        return { id, secret }
      }),

    changeWebhook: (id, { url, kinds, enabled }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await change(transaction, id, {
          ...(url === undefined ? {} : { url }),
          ...(kinds === undefined ? {} : { kinds: JSON.stringify(kinds) }),
          ...(enabled === undefined ? {} : { disabled_at: null, disabled_reason: null }),
          ...(url === undefined && enabled !== true ? {} : { created_by: actor.name }),
          ...(enabled === false ? { disabled_at: at, disabled_reason: 'operator' } : {}),
        })
        const origin = url === undefined ? {} : { origin: new URL(url).origin }
        const said = {
          ...(kinds === undefined ? {} : { kinds }),
          ...(enabled === undefined ? {} : { enabled }),
        }
        const detail = { ...origin, ...said }
        await appendAudit(transaction, { at, actor, action: 'webhook.change', target: id, detail })
      }),

    disableWebhook: (id, reason, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const { numUpdatedRows } = await transaction
          .updateTable('webhooks')
          .set({ disabled_at: at, disabled_reason: reason })
          .where('id', '=', id)
          .where('disabled_at', 'is', null)
          .executeTakeFirst()
        if (numUpdatedRows === 0n) return
        await appendAudit(transaction, { at, actor, action: 'webhook.disable', target: id, reason })
      }),

    noteSentAgain: (id, what, actor) =>
      transact(registry, async transaction => {
        const action = 'event' in what ? 'webhook.resend' : 'webhook.replay'
        await appendAudit(transaction, { at: now(), actor, action, target: id, detail: what })
      }),

    removeWebhook: (id, actor) =>
      transact(registry, async transaction => {
        const { numDeletedRows } = await transaction
          .deleteFrom('webhooks')
          .where('id', '=', id)
          .executeTakeFirst()
        if (numDeletedRows === 0n) throw unknown(id)
        await appendAudit(transaction, { at: now(), actor, action: 'webhook.remove', target: id })
      }),
  }
}

export function prepareWebhookReader({ sqlite }: Registry): WebhookReader {
  const columns = `id, url, kinds, from_seq AS fromSeq, created_at AS createdAt, created_by AS createdBy,
    disabled_at AS disabledAt, disabled_reason AS disabledReason`
  type Row = Omit<Webhook, 'kinds'> & { kinds: string }
  const one = sqlite.prepare<[string], Row>(`SELECT ${columns} FROM webhooks WHERE id = ?`)
  const many = sqlite.prepare<[string, number], Row>(
    `SELECT ${columns} FROM webhooks WHERE id > ? ORDER BY id LIMIT ?`,
  )
  const signing = sqlite.prepare<[], Row & { secret: string }>(
    `SELECT ${columns}, secret FROM webhooks WHERE disabled_at IS NULL`,
  )
  return {
    webhook(id) {
      const row = one.get(id)
      return row === undefined ? null : read(row)
    },
    webhooks(after, limit) {
      const rows = many.all(after ?? '', limit + 1).map(read)
      if (rows.length <= limit) return { items: rows, next: null }
      return { items: rows.slice(0, limit), next: rows[limit - 1]!.id }
    },
    signing: () => signing.all().map(read),
  }
}

function read<Row extends { kinds: string }>(row: Row): Omit<Row, 'kinds'> & { kinds: EventKind[] } {
  return { ...row, kinds: JSON.parse(row.kinds) as EventKind[] }
}

function unknown(id: string): Conflict {
  return new Conflict('webhook_unknown', `there is no webhook ${id}`)
}
