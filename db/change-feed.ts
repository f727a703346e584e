// The change feed: rows with a growing epoch that brokers follow, and the acknowledgements they give back.
import type { Transaction } from 'kysely'
import type { ChangeKind } from './change-kind.ts'
import type { Registry } from './open.ts'
import type { Schema } from './schema.ts'
import { prepared } from './statement.ts'

/** One change that can end somebody's right to be connected. */
export type Change = {
  epoch: number
  /** When it was made, in ms since the epoch. */
  at: number
  kind: ChangeKind
  deviceId: string | null
  fingerprint: string | null
  issuerId: string | null
  /** Of `retained`: whose message is cleared. `deviceId` is its publisher then, null for any. */
  topic: string | null
}

/** A retained message to be cleared: published before `at`, and by this device, where it is not null. */
export type RetainedClearing = { topic: string; deviceId: string | null; at: number }

/** The nodes that have acted on an epoch. `sessionsCut` counts all nodes together. */
export type Receipt = {
  epoch: number
  nodesTotal: number
  nodesAcknowledged: number
  sessionsCut: number
  unreachable: string[]
}

/** Names the last row of the feed, of which no two are alike: a sub-select, null for an empty feed. */
export const lastChangeSql = "SELECT epoch || ' ' || at FROM changes ORDER BY epoch DESC LIMIT 1"

export type ChangeReader = {
  /** Grows whenever another connection committed: a cheap reason to look. */
  dataVersion(): number
  /** The name of the last row. */
  lastChange(): string | null
  latestEpoch(): number
  /** At most `limit` changes after this epoch, in order. */
  changesAfter(epoch: number, limit: number): Change[]
  /** Devices whose stored session was to be deleted after this epoch. */
  clearedAfter(epoch: number): string[]
  /** Retained messages that were to be cleared after this epoch. */
  retainedClearedAfter(epoch: number): RetainedClearing[]
  /** Devices that were deleted after this epoch and had a key: others never connected. Their IDs may be those of new devices by now. */
  deletedAfter(epoch: number): string[]
  /** Whether it deleted its device. */
  isDeletion(change: Pick<Change, 'kind' | 'deviceId' | 'at'>): boolean
}

/** Appends a change inside the transaction that makes it true; gives its epoch. */
export async function appendChange(
  transaction: Transaction<Schema>,
  change: {
    kind: ChangeKind
    at: number
    deviceId?: string | null
    fingerprint?: string
    issuerId?: string
    topic?: string
  },
): Promise<number> {
  const { epoch } = await transaction
    .insertInto('changes')
    .values({
      at: change.at,
      kind: change.kind,
      device_id: change.deviceId ?? null,
      fingerprint: change.fingerprint ?? null,
      issuer_id: change.issuerId ?? null,
      topic: change.topic ?? null,
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
  const last = sqlite.prepare<[], string>(lastChangeSql).pluck()
  const cleared = sqlite
    .prepare<[number], string>(
      `SELECT DISTINCT device_id FROM changes
       WHERE kind = 'stored_session' AND epoch > ? AND device_id IS NOT NULL`,
    )
    .pluck()
  // Prepared when they are asked for: a backup reads registries of before there were deletions, and topics.
  const after = () =>
    prepared(
      sqlite,
      `SELECT epoch, at, kind, device_id AS deviceId, fingerprint, issuer_id AS issuerId, topic
       FROM changes WHERE epoch > ? ORDER BY epoch LIMIT ?`,
    )
  const retainedCleared = () =>
    prepared(
      sqlite,
      `SELECT topic, device_id AS deviceId, at FROM changes WHERE kind = 'retained' AND epoch > ? ORDER BY epoch`,
    )
  // A deletion writes both with one time, in one transaction.
  const deleted = () =>
    prepared(
      sqlite,
      `SELECT DISTINCT c.device_id FROM changes c
       WHERE c.kind = 'device' AND c.epoch > ?
         AND EXISTS (SELECT 1 FROM retired_keys r WHERE r.device_id = c.device_id AND r.retired_at = c.at)`,
    ).pluck()
  const deletion = () =>
    prepared(
      sqlite,
      'SELECT EXISTS (SELECT 1 FROM retired_keys WHERE device_id = ? AND retired_at = ?)',
    ).pluck()
  return {
    clearedAfter: epoch => cleared.all(epoch),
    retainedClearedAfter: epoch => retainedCleared().all(epoch) as RetainedClearing[],
    deletedAfter: epoch => deleted().all(epoch) as string[],
    isDeletion: ({ kind, deviceId, at }) =>
      kind === 'device' && deviceId !== null && deletion().get(deviceId, at) === 1,
    dataVersion: () => version.get() as number,
    lastChange: () => last.get() ?? null,
    latestEpoch: () => latest.get() as number,
    changesAfter: (epoch, limit) => after().all(epoch, limit) as Change[],
  }
}

/**
 * Waits until every node acknowledged the epoch, or the deadline passed, and gives those that did. Callers that wait at the same time
 * share one look at the nodes: a thousand waiting requests ask no more often than one.
 * Nodes that stopped in order are gone from the list; one that vanished is named in `unreachable`. `epochs` are all those of
 * one change, where it has several, and `epoch` is the last of them.
 */
export function awaitReceipt(
  registry: Registry,
  epoch: number,
  deadlineMs: number,
  epochs: readonly number[] = [epoch],
): Promise<Receipt> {
  return new Promise((resolve, reject) => {
    const waiting = waits.get(registry)
    const wait = { epoch, epochs, end: performance.now() + deadlineMs, resolve, reject }
    if (waiting !== undefined) {
      waiting.add(wait)
      return
    }
    const first = new Set([wait])
    waits.set(registry, first)
    lookForAcknowledgements(registry, first)
  })
}

type Wait = {
  epoch: number
  epochs: readonly number[]
  end: number
  resolve(receipt: Receipt): void
  reject(error: unknown): void
}
const waits = new WeakMap<Registry, Set<Wait>>()
const LOOK_MS = 5

function lookForAcknowledgements(registry: Registry, waiting: Set<Wait>): void {
  try {
    const nodes = prepared(
      registry.sqlite,
      'SELECT id, acknowledged_epoch AS epoch FROM nodes ORDER BY id',
    ).all() as { id: string; epoch: number }[]
    const least = nodes.reduce((epoch, node) => Math.min(epoch, node.epoch), Number.POSITIVE_INFINITY)
    const now = performance.now()
    for (const wait of waiting) {
      if (wait.epoch > least && now < wait.end) continue
      waiting.delete(wait)
      wait.resolve(receiptOf(registry, wait, nodes))
    }
  } catch (error) {
    for (const wait of waiting) wait.reject(error)
    waiting.clear()
  }
  if (waiting.size === 0) waits.delete(registry)
  else setTimeout(lookForAcknowledgements, LOOK_MS, registry, waiting)
}

function receiptOf(
  { sqlite }: Registry,
  { epoch, epochs }: Pick<Wait, 'epoch' | 'epochs'>,
  nodes: { id: string; epoch: number }[],
): Receipt {
  const unreachable = nodes.filter(node => node.epoch < epoch).map(node => node.id)
  const cut = prepared(
    sqlite,
    `SELECT coalesce(sum(sessions_cut), 0) AS cut FROM acknowledgements
     WHERE epoch IN (SELECT value FROM json_each(?))`,
  ).get(JSON.stringify(epochs)) as { cut: number }
  return {
    epoch,
    nodesTotal: nodes.length,
    nodesAcknowledged: nodes.length - unreachable.length,
    sessionsCut: Number(cut.cut),
    unreachable,
  }
}
