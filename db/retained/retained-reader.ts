// Reading the index of retained messages: pages in the order of topics, by topic filter, device and group. A page takes a bounded time: where
// few of many fit, it ends before its limit.
import type { Database } from 'better-sqlite3'
import { isReplaced } from '../events/event-file.ts'
import type { Page } from '../page.ts'
import { openRetainedFile, type RetainedFacts } from './retained-file.ts'

/**
 * All must hold. `matches` is asked of topics from `from` to `to`, both included, or to the last one where `to` is null; null where all of
 * them fit. `group`: published by a device that is in it.
 */
export type RetainedFilter = {
  from: string
  to: string | null
  matches: ((topic: string) => boolean) | null
  device: string | null
  group: string | null
}
/** `exact` is false where there may be more. */
export type RetainedCount = { count: number; exact: boolean }

export type RetainedReader = {
  /** Null where there is no index: no broker has written one here. */
  page(filter: RetainedFilter, after: string | null, limit: number, now: number): Page<RetainedFacts> | null
  count(filter: RetainedFilter, now: number): RetainedCount | null
  /** What a topic retains, undefined for nothing; null where there is no index. */
  find(topic: string, group: string | null, now: number): RetainedFacts | undefined | null
  close(): void
}

type Row = RetainedFacts & { isMember: number }

const PAGE_MS = 15
/** SQLite orders it after every text. */
const AFTER_ALL = Buffer.alloc(0)
/** Counted by SQLite alone, in as long. */
const COUNTED_MAX = 100_000
const LOOKED_EVERY = 64
const FAILURE_QUIET_MS = 10_000

/** `registry` is asked for the members of groups. `onFailed` hears of trouble at most once in ten seconds. */
export function createRetainedReader(parts: {
  file: string
  registry: string
  onFailed(error: unknown): void
}): RetainedReader {
  const { file } = parts
  let open: { sqlite: Database; inode: number; statements: ReturnType<typeof prepareReading> } | null = null
  let saidAt = Number.NEGATIVE_INFINITY

  function shut(): void {
    open?.sqlite.close()
    open = null
  }

  function ask<Answer>(question: (statements: ReturnType<typeof prepareReading>) => Answer): Answer | null {
    try {
      if (open !== null && isReplaced(file, open)) shut()
      if (open === null) {
        const found = openRetainedFile(file)
        if (found === null) return null
        try {
          found.sqlite.prepare('ATTACH ? AS roll').run(parts.registry)
          open = { ...found, statements: prepareReading(found.sqlite) }
        } catch (error) {
          found.sqlite.close()
          throw error
        }
      }
      return question(open.statements)
    } catch (error) {
      shut()
      if (performance.now() - saidAt >= FAILURE_QUIET_MS) {
        saidAt = performance.now()
        parts.onFailed(error)
      }
      return null
    }
  }

  /** Calls with those that fit, until it gives false; gives the topic to go on from, null at the end. */
  function walk(
    statements: ReturnType<typeof prepareReading>,
    { device, group, ...filter }: RetainedFilter,
    after: string | null,
    now: number,
    found: (row: Row) => boolean,
  ): string | null {
    const bounds = { group, now, from: filter.from, to: filter.to ?? AFTER_ALL, after: after ?? '' }
    const rows =
      device === null ? statements.all.iterate(bounds) : statements.ofDevice.iterate({ ...bounds, device })
    const end = performance.now() + PAGE_MS
    let looked = 0
    for (const row of rows) {
      looked += 1
      if (filter.matches?.(row.topic) !== false && (group === null || row.isMember === 1) && !found(row))
        return row.topic
      if (looked % LOOKED_EVERY === 0 && performance.now() >= end) return row.topic
    }
    return null
  }

  return {
    page: (filter, after, limit, now) =>
      ask(statements => {
        const items: RetainedFacts[] = []
        const next = walk(statements, filter, after, now, ({ isMember: _, ...facts }) => {
          items.push(facts)
          return items.length < limit
        })
        return { items, next }
      }),
    count: (filter, now) =>
      ask(statements => {
        if (filter.matches === null && filter.group === null) {
          const { device, from, to } = filter
          const counting = device === null ? statements.count : statements.countOfDevice
          const counted = counting.get({ device, from, to: to ?? AFTER_ALL, now, after: '' }) ?? 0
          return { count: Math.min(counted, COUNTED_MAX), exact: counted <= COUNTED_MAX }
        }
        let count = 0
        const next = walk(statements, filter, null, now, () => {
          count += 1
          return true
        })
        return { count, exact: next === null }
      }),
    find: (topic, group, now) =>
      ask(statements => {
        const row = statements.one.get({ topic, group, now })
        if (row === undefined || (group !== null && row.isMember !== 1)) return undefined
        const { isMember: _, ...facts } = row
        return facts
      }),
    close: shut,
  }
}

function prepareReading(sqlite: Database) {
  const columns = `topic, device_id AS deviceId, qos, bytes, at, expires_at AS expiresAt,
    @group IS NOT NULL AND EXISTS (
      SELECT 1 FROM roll.device_groups AS g WHERE g.name = @group AND g.device_id = retained.device_id) AS isMember`
  const living = '(expires_at IS NULL OR expires_at > @now)'
  const range = `topic > @after AND topic >= @from AND topic <= @to AND ${living}`
  const count = (which: string) =>
    sqlite
      .prepare<unknown[], number>(
        `SELECT count(*) FROM (SELECT 1 FROM retained WHERE ${which} LIMIT ${COUNTED_MAX + 1})`,
      )
      .pluck()
  return {
    all: sqlite.prepare<unknown[], Row>(`SELECT ${columns} FROM retained WHERE ${range} ORDER BY topic`),
    ofDevice: sqlite.prepare<unknown[], Row>(
      `SELECT ${columns} FROM retained WHERE device_id = @device AND ${range} ORDER BY topic`,
    ),
    count: count(range),
    countOfDevice: count(`device_id = @device AND ${range}`),
    one: sqlite.prepare<unknown[], Row>(`SELECT ${columns} FROM retained WHERE topic = @topic AND ${living}`),
  }
}
