// The audit log: one row per change an operator or the system makes, in the transaction that makes it.
// No row, no change: verbs of the registry writer call `appendAudit` before they commit.
import type { Database } from 'better-sqlite3'
import type { Transaction } from 'kysely'
import { type ActorKind, type AuditFacts, type ChainEnd, chainStart, nextRow } from '../audit-chain.ts'
import { type KeyedRequest, noteChange } from '../keyed-changes.ts'
import type { Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'

/** The actor of a change, and its request. */
export type Actor = {
  name: string
  /** A row without one is from before there were kinds. */
  kind: ActorKind
  requestId?: string | undefined
  /** Where the request may be asked again. */
  keyed?: KeyedRequest | undefined
  /** The version of what is changed that they saw, where they say so. */
  seen?: string | undefined
}

type AuditEntry = {
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

/** Appends one row to the chain. The table's triggers refuse to fork it, and to change or remove the row later. */
export async function appendAudit(transaction: Transaction<Schema>, entry: AuditEntry): Promise<void> {
  const [end] = await rowsOf<CountedEnd>(transaction, endSql)
  const { actorKind, requestId, prevHash, ...row } = nextRow(continued(end), factsOf(entry))
  const named = { actor_kind: actorKind, request_id: requestId, prev_hash: prevHash }
  await insert(transaction, 'audit', { ...row, ...named })
  if (entry.actor.keyed !== undefined) await noteChange(transaction, entry.actor.keyed, entry.at, entry)
}

/**
 * The same for a caller that has the file itself instead of a query builder. The verb throws outside a transaction: between
 * reading the end of the chain and writing the row nobody else may append.
 */
export function prepareAppendAudit(sqlite: Database): (entry: AuditEntry) => void {
  const end = sqlite.prepare<[], CountedEnd>(endSql)
  const insert = sqlite.prepare(
    `INSERT INTO audit (seq, at, actor, actor_kind, action, target, outcome, reason, request_id, detail, prev_hash, hash)
     VALUES (@seq, @at, @actor, @actorKind, @action, @target, @outcome, @reason, @requestId, @detail, @prevHash, @hash)`,
  )
  return entry => {
    if (!sqlite.inTransaction) throw new Error('an audit row is written in the transaction of its change')
    insert.run(nextRow(continued(end.get()), factsOf(entry)))
  }
}

type CountedEnd = ChainEnd & { counted: number }

const endSql = `SELECT seq, hash, (SELECT seq FROM sqlite_sequence WHERE name = 'audit') AS counted
  FROM audit ORDER BY seq DESC LIMIT 1`

/** A number is never given again: where rows were cut off by hand, the gap stays for the verifier to find. */
function continued(last: CountedEnd | undefined): ChainEnd {
  return last === undefined ? chainStart : { seq: Math.max(last.seq, last.counted ?? 0), hash: last.hash }
}

function factsOf(entry: AuditEntry): AuditFacts {
  return {
    at: entry.at,
    actor: entry.actor.name,
    actorKind: entry.actor.kind,
    action: entry.action,
    target: entry.target,
    outcome: entry.outcome ?? 'done',
    reason: entry.reason ?? null,
    requestId: entry.actor.requestId ?? null,
    detail: entry.detail ?? {},
  }
}
