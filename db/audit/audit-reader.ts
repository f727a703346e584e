// Reading the audit log: searched by operators, walked by the verifier, both in steps that hold up nobody for long.
// Rows never change, so a walk needs no transaction: it reads up to the end that it saw first.
import { setImmediate } from 'node:timers/promises'
import type { Statement } from 'better-sqlite3'
import type { ChainLink } from '../audit-chain.ts'
import {
  type ActorKind,
  type AuditRow,
  actorKinds,
  type ChainEnd,
  canonicalRow,
  chainStart,
  peopleKinds,
} from '../audit-chain.ts'
import { createEventLoopYield } from '../event-loop-yield.ts'
import type { Registry } from '../open.ts'
import type { Checkpoint } from './audit-checkpoint.ts'
import type { AuditBatch } from './audit-verifier.ts'

/** All must hold. `action` ending in `.*` takes all of a noun. Times in ms, `since` inclusive, `until` exclusive. */
type AuditFilter = {
  actor?: string | undefined
  actorKind?: ActorKind | undefined
  /** Rows of a version that kept no kinds are of neither. */
  by?: 'people' | 'machines' | undefined
  action?: string | undefined
  target?: string | undefined
  since?: number | undefined
  until?: number | undefined
  /** Only rows with a number above this one. */
  after?: number | undefined
}
type AuditOrder = 'oldest' | 'newest'

/** What the log holds at one moment, and the highest numbers it ever gave. */
type AuditExtent = {
  end: ChainEnd
  lastCheckpoint: Checkpoint | null
  counted: { rows: number; checkpoints: number }
}

export type AuditReader = {
  /** Rows after `after` in the order asked for; `next` is the number to continue after, null at the end. */
  search(
    filter: AuditFilter,
    order: AuditOrder,
    after: number | null,
    limit: number,
  ): Promise<{ items: AuditRow[]; next: number | null }>
  extent(): AuditExtent
  /** The hash of a row, or null where there is none of this number. */
  hashOf(seq: number): string | null
  /** Everything up to an extent and after a row, for the verifier. */
  batches(extent: AuditExtent, after?: number): AsyncGenerator<AuditBatch>
}

const BATCH_ROWS = 1_000
/** As many rows are looked at before others get their turn. */
const SEARCH_WINDOW_ROWS = 10_000
/** The same for one target or action, by the index: usually few rows. */
const INDEXED_WINDOW_ROWS = 25_000
/** Of a time that has more rows it is not looked up where they are. */
const ROWS_OF_TIME_MAX = 200_000

/** `kind` is the column of the actor's kind, or NULL in a registry of a version that had none. */
const columnsWith = (
  kind: string,
) => `seq, at, actor, ${kind} AS actorKind, action, target, outcome, reason, request_id AS requestId, detail,
  prev_hash AS prevHash, hash`
const checkpointColumns = 'number, seq, hash, at, key_id AS keyId, signature'

export function createAuditReader({ sqlite }: Registry, rowsOfTimeMax = ROWS_OF_TIME_MAX): AuditReader {
  const nextTurn = createEventLoopYield()
  const kind = hasActorKind(sqlite) ? 'actor_kind' : 'NULL'
  const columns = columnsWith(kind)
  const last = sqlite.prepare<[], ChainEnd>('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1')
  const lastCheckpoint = sqlite.prepare<[], Checkpoint>(
    `SELECT ${checkpointColumns} FROM audit_checkpoints ORDER BY number DESC LIMIT 1`,
  )
  const hashes = sqlite.prepare<[number], string>('SELECT hash FROM audit WHERE seq = ?').pluck()
  const counted = sqlite.prepare<[string], number>('SELECT seq FROM sqlite_sequence WHERE name = ?').pluck()
  const rows = sqlite.prepare<[number, number, number], AuditRow>(
    `SELECT ${columns} FROM audit WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?`,
  )
  const checkpoints = sqlite.prepare<[number, number, number], Checkpoint>(
    `SELECT ${checkpointColumns} FROM audit_checkpoints WHERE seq > ? AND seq <= ? ORDER BY number LIMIT ?`,
  )
  const searches = Object.fromEntries(
    (['target', 'action', 'all'] as const).map(walk => [
      walk,
      {
        oldest: sqlite.prepare<[SearchStep], AuditRow>(searchSql(kind, 'ASC', walk)),
        newest: sqlite.prepare<[SearchStep], AuditRow>(searchSql(kind, 'DESC', walk)),
      },
    ]),
  ) as Record<Walk, Record<AuditOrder, Statement<[SearchStep], AuditRow>>>
  const ofTime = sqlite.prepare<
    [{ since: number; until: number }],
    { rows: number; least: number; most: number }
  >(
    `SELECT count(*) AS rows, coalesce(min(seq), 1) AS least, coalesce(max(seq), 0) AS most
     FROM (SELECT seq FROM audit WHERE at >= @since AND at < @until LIMIT ${rowsOfTimeMax + 1})`,
  )

  /** Between which numbers all rows of a time are. A clock may have been put back: rows are not in the order of their times. */
  function numbersOf({ since, until }: AuditFilter): { least: number; most: number } {
    const every = { least: 1, most: Number.MAX_SAFE_INTEGER }
    if (since === undefined && until === undefined) return every
    const { rows, ...numbers } = ofTime.get({
      since: since ?? Number.MIN_SAFE_INTEGER,
      until: until ?? Number.MAX_SAFE_INTEGER,
    })!
    return rows > rowsOfTimeMax ? every : numbers
  }

  return {
    async search(filter, order, after, limit) {
      const newest = order === 'newest'
      const end = last.get()?.seq ?? 0
      const conditions = conditionsOf(filter)
      const walk = conditions.target !== null ? 'target' : conditions.action !== null ? 'action' : 'all'
      const statement = searches[walk][order]
      const window = walk === 'all' ? SEARCH_WINDOW_ROWS : INDEXED_WINDOW_ROWS
      const items: AuditRow[] = []
      const numbers = numbersOf(filter)
      const floor = Math.max((filter.after ?? 0) + 1, numbers.least)
      const ceiling = Math.min(end, numbers.most)
      let [least, most] = [Math.max((after ?? 0) + 1, floor), Math.min((after ?? end + 1) - 1, ceiling)]
      if (newest) least = Math.max(most + 1 - window, floor)
      else most = Math.min(least - 1 + window, ceiling)
      while (least <= most) {
        items.push(...statement.all({ ...conditions, least, most, limit: limit + 1 - items.length }))
        if (items.length > limit) return { items: items.slice(0, limit), next: items[limit - 1]!.seq }
        if (newest) [least, most] = [Math.max(least - window, floor), least - 1]
        else [least, most] = [most + 1, Math.min(most + window, ceiling)]
        await nextTurn()
      }
      return { items, next: null }
    },

    extent: sqlite.transaction(() => ({
      end: last.get() ?? chainStart,
      lastCheckpoint: lastCheckpoint.get() ?? null,
      counted: { rows: counted.get('audit') ?? 0, checkpoints: counted.get('audit_checkpoints') ?? 0 },
    })),

    hashOf: seq => hashes.get(seq) ?? null,

    async *batches({ end }, from = 0) {
      let seq = from
      let more = true
      while (more) {
        const page = rows.all(seq, end.seq, BATCH_ROWS)
        more = page.length === BATCH_ROWS
        const through = more ? page.at(-1)!.seq : Number.MAX_SAFE_INTEGER
        // Each covers a row of its own, so there are no more than rows, unless somebody made some up.
        const marks = checkpoints.all(seq, through, 2 * BATCH_ROWS)
        seq = through
        yield { rows: page.map(linkOf), checkpoints: marks }
        await setImmediate()
      }
    },
  }
}

/** A backup of an older version is read as it is. */
function hasActorKind(sqlite: Registry['sqlite']): boolean {
  const named = sqlite
    .prepare<[], string>("SELECT name FROM pragma_table_info('audit') WHERE name = 'actor_kind'")
    .pluck()
  return named.get() !== undefined
}

function linkOf(row: AuditRow): ChainLink {
  return { seq: row.seq, prevHash: row.prevHash, hash: row.hash, canonical: canonicalRow(row) }
}

type SearchStep = ReturnType<typeof conditionsOf> & { least: number; most: number; limit: number }

function kindsOf(by: 'people' | 'machines'): ActorKind[] {
  return actorKinds.filter(kind => peopleKinds.includes(kind) === (by === 'people'))
}

function conditionsOf(filter: AuditFilter) {
  const noun = filter.action?.endsWith('.*') ? filter.action.slice(0, -1) : null
  return {
    actor: filter.actor ?? null,
    actorKind: filter.actorKind ?? null,
    kinds: filter.by === undefined ? null : JSON.stringify(kindsOf(filter.by)),
    action: noun === null ? (filter.action ?? null) : null,
    noun,
    target: filter.target ?? null,
    since: filter.since ?? null,
    until: filter.until ?? null,
  }
}

/** What gives the rows of a search: an index, or all of the log. */
type Walk = 'target' | 'action' | 'all'
const walks: Readonly<Record<Walk, { from: string; where: string }>> = {
  target: {
    from: 'audit INDEXED BY audit_by_target',
    where: 'target = @target AND (@action IS NULL OR action = @action)',
  },
  action: { from: 'audit INDEXED BY audit_by_action', where: '@target IS NULL AND action = @action' },
  all: { from: 'audit NOT INDEXED', where: '@target IS NULL AND @action IS NULL' },
}

function searchSql(kind: string, direction: 'ASC' | 'DESC', walk: Walk): string {
  const { from, where } = walks[walk]
  return `SELECT ${columnsWith(kind)} FROM ${from}
    WHERE ${where} AND seq BETWEEN @least AND @most
      AND (@actor IS NULL OR actor = @actor) AND (@actorKind IS NULL OR ${kind} = @actorKind)
      AND (@kinds IS NULL OR ${kind} IN (SELECT value FROM json_each(@kinds)))
      AND (@noun IS NULL OR substr(action, 1, length(@noun)) = @noun)
      AND (@since IS NULL OR at >= @since) AND (@until IS NULL OR at < @until)
    ORDER BY seq ${direction} LIMIT @limit`
}
