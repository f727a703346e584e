// The audit log: one row per change an operator or the system makes, in the transaction that makes it.
// No row, no change: verbs of the registry writer call `appendAudit` before they commit.
import type { Transaction } from 'kysely'
import type { Schema } from './schema.ts'

/** Who asked for a change, and in which request. */
export type Actor = { name: string; requestId?: string | undefined }

export type AuditEntry = {
  at: number
  actor: Actor
  /** noun.verb, such as `certificate.revoke`. */
  action: string
  target: string
  outcome?: 'done' | 'refused'
  reason?: string | undefined
  /** Facts worth keeping; never a key, token or CSR. */
  detail?: Record<string, unknown>
}

/** Appends one row. The table's triggers refuse to change or remove it later. */
export async function appendAudit(transaction: Transaction<Schema>, entry: AuditEntry): Promise<void> {
  await transaction
    .insertInto('audit')
    .values({
      at: entry.at,
      actor: entry.actor.name,
      action: entry.action,
      target: entry.target,
      outcome: entry.outcome ?? 'done',
      reason: entry.reason ?? null,
      request_id: entry.actor.requestId ?? null,
      detail: JSON.stringify(entry.detail ?? {}),
    })
    .execute()
}
