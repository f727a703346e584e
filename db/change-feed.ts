// The change feed: rows with a growing epoch that brokers follow, and the acknowledgements they give back.
import type { Transaction } from 'kysely'
import type { Registry } from './open.ts'
import type { ChangeKind, Schema } from './schema.ts'

/** One change that can end somebody's right to be connected. */
export type Change = {
  epoch: number
  /** When it was made, in ms since the epoch. */
  at: number
  kind: ChangeKind
  deviceId: string | null
  fingerprint: string | null
  issuerId: string | null
}

/** Who has acted on an epoch. `sessionsCut` counts all nodes together. */
export type Receipt = {
  epoch: number
  nodesTotal: number
  nodesAcknowledged: number
  sessionsCut: number
  unreachable: string[]
}

export type ChangeReader = {
  /** Grows whenever another connection committed: a cheap reason to look. */
  dataVersion(): number
  latestEpoch(): number
  /** At most `limit` changes after this epoch, in order. */
  changesAfter(epoch: number, limit: number): Change[]
}

/** Appends a change inside the transaction that makes it true; gives its epoch. */
export async function appendChange(
  transaction: Transaction<Schema>,
  change: { kind: ChangeKind; at: number; deviceId?: string; fingerprint?: string; issuerId?: string },
): Promise<number> {
  const { epoch } = await transaction
    .insertInto('changes')
    .values({
      at: change.at,
      kind: change.kind,
      device_id: change.deviceId ?? null,
      fingerprint: change.fingerprint ?? null,
      issuer_id: change.issuerId ?? null,
    })
    .returning('epoch')
    .executeTakeFirstOrThrow()
  return epoch
}

/** Reads the feed with prepared statements: a broker asks some forty times a second. */
export function prepareChangeReader(registry: Registry): ChangeReader {
  const { sqlite } = registry
  const version = sqlite.prepare('PRAGMA data_version').pluck()
  const latest = sqlite.prepare('SELECT coalesce(max(epoch), 0) FROM changes').pluck()
  const after = sqlite.prepare<[number, number], Change>(
    `SELECT epoch, at, kind, device_id AS deviceId, fingerprint, issuer_id AS issuerId
     FROM changes WHERE epoch > ? ORDER BY epoch LIMIT ?`,
  )
  return {
    dataVersion: () => version.get() as number,
    latestEpoch: () => latest.get() as number,
    changesAfter: (epoch, limit) => after.all(epoch, limit),
  }
}

/**
 * Waits until every node acknowledged the epoch, or the deadline passed, and tells who did.
 * Nodes that stopped in order are gone from the list; one that vanished is named in `unreachable`.
 */
export async function awaitReceipt(registry: Registry, epoch: number, deadlineMs: number): Promise<Receipt> {
  const { sqlite } = registry
  const acknowledged = sqlite.prepare<[number], { id: string; done: number }>(
    'SELECT id, acknowledged_epoch >= ? AS done FROM nodes ORDER BY id',
  )
  const cut = sqlite
    .prepare<[number], number>('SELECT coalesce(sum(sessions_cut), 0) FROM acknowledgements WHERE epoch = ?')
    .pluck()
  const end = performance.now() + deadlineMs
  for (;;) {
    const nodes = acknowledged.all(epoch)
    const unreachable = nodes.filter(node => node.done === 0).map(node => node.id)
    if (unreachable.length === 0 || performance.now() >= end) {
      return {
        epoch,
        nodesTotal: nodes.length,
        nodesAcknowledged: nodes.length - unreachable.length,
        sessionsCut: Number(cut.get(epoch) ?? 0),
        unreachable,
      }
    }
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
