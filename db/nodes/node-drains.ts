// Draining a broker: an operator's order, which the broker reads from the registry and which holds until it is resumed, through
// restarts too.
import type { Database } from 'better-sqlite3'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'

/** How sessions end. `moved`: clients are to stay away for good. `serverReference`: where to go, empty for nowhere (MQTT 5 §4.11). */
export type DrainOptions = { overMs: number; moved: boolean; serverReference: string }
/** `at`, in ms since the epoch, names the order: it is another one for each. */
export type DrainOrder = DrainOptions & { at: number }

type Row = { at: number; overMs: number; moved: number; serverReference: string }

const NAMED_MAX = 20

export function createNodeDrainWriter(registry: Registry, now: () => number) {
  return {
    /**
     * Has a broker take no session and end those that it has. The same order again changes nothing; another one takes its place.
     * Throws `node_unknown` with the names that there are. Gives whether it is new.
     */
    drainNode: (nodeId: string, options: DrainOptions, actor: Actor): Promise<boolean> =>
      transact(registry, async transaction => {
        await assertNode(transaction, nodeId)
        const before = await orderOf(transaction, nodeId)
        if (before !== undefined && isSame(before, options)) return false
        const at = Math.max(now(), (before?.at ?? 0) + 1)
        const { overMs, moved, serverReference } = options
        const row = { over_ms: overMs, moved: moved ? 1 : 0, server_reference: serverReference, at } as const
        await transaction
          .insertInto('node_drains')
          .values({ node_id: nodeId, ...row })
          .onConflict(conflict => conflict.column('node_id').doUpdateSet(row))
          .execute()
        const detail = { ...options, again: before !== undefined }
        await appendAudit(transaction, { at: now(), actor, action: 'node.drain', target: nodeId, detail })
        return true
      }),

    /** Has a broker take sessions again. Throws `node_unknown`. Gives whether it was drained. */
    resumeNode: (nodeId: string, actor: Actor): Promise<boolean> =>
      transact(registry, async transaction => {
        await assertNode(transaction, nodeId)
        if ((await orderOf(transaction, nodeId)) === undefined) return false
        await transaction.deleteFrom('node_drains').where('node_id', '=', nodeId).execute()
        const detail = {}
        await appendAudit(transaction, { at: now(), actor, action: 'node.resume', target: nodeId, detail })
        return true
      }),
  }
}

function orderOf(transaction: Transaction<Schema>, nodeId: string) {
  return transaction.selectFrom('node_drains').selectAll().where('node_id', '=', nodeId).executeTakeFirst()
}

function isSame(
  { over_ms, moved, server_reference }: Schema['node_drains'],
  { overMs, serverReference, ...options }: DrainOptions,
): boolean {
  return over_ms === overMs && (moved === 1) === options.moved && server_reference === serverReference
}

/** One that runs, or that was drained before it was stopped. */
async function assertNode(transaction: Transaction<Schema>, nodeId: string): Promise<void> {
  const running = await transaction.selectFrom('nodes').select('id').orderBy('id').execute()
  const drained = await transaction.selectFrom('node_drains').select('node_id').orderBy('node_id').execute()
  const names = [...new Set([...running.map(({ id }) => id), ...drained.map(({ node_id }) => node_id)])]
  if (names.includes(nodeId)) return
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : ''
  const there = names.length === 0 ? 'none runs' : `there are ${names.slice(0, NAMED_MAX).join(', ')}${more}`
  throw new Conflict('node_unknown', `no broker is called ${nodeId}: ${there}`)
}

/** Reads the order for a broker; null where it takes sessions. Throws where the registry cannot be read. */
export function prepareDrainOrder(sqlite: Database, nodeId: string): () => DrainOrder | null {
  const order = sqlite.prepare<[string], Row>(
    `SELECT at, over_ms AS overMs, moved, server_reference AS serverReference FROM node_drains WHERE node_id = ?`,
  )
  return () => {
    const row = order.get(nodeId)
    return row === undefined ? null : { ...row, moved: row.moved === 1 }
  }
}
