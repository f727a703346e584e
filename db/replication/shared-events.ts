// Brings what waits in the event file of this machine to PostgreSQL, and what all machines brought there into the file. What is under way
// when a process ends, or PostgreSQL does not answer, waits in the file: for the next process, once.
import { setTimeout as delay } from 'node:timers/promises'
import {
  type EventCount,
  encodeBatch,
  encodePart,
  type Figure,
  type Mark,
  readBatch,
} from '../events/event-batch.ts'
import { createEventCopy, type EventBatch, sharedMarks } from '../events/event-copy.ts'
import { type OutboxRow, rowsOf } from '../events/event-outbox.ts'
import type { NewEvent } from '../events/event-rows.ts'
import type { HistoryCopy } from '../history/history-copy.ts'
import { prepareEventTables } from './event-tables.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { createRepeatedLook } from './repeated-look.ts'

export type SharedEvents = {
  /** Resolves once what all have is here, or after the first failure; goes on by itself. */
  start(): Promise<void>
  /** How far a source that all machines read has been read; null where nobody has. */
  readUpTo(mark: string): Promise<number | null>
  /** Events of what was read since, and how far that is. False where another process has read on from `was` meanwhile. */
  appendRead(
    mark: { name: string; was: number | null; value: number },
    events: readonly NewEvent[],
    counts: readonly EventCount[],
  ): Promise<boolean>
  /** Figures of the history, for all machines. False where they cannot be kept now. */
  sendFigures(figures: readonly Figure[]): boolean
  /** Sends what waits first, for a short time. */
  stop(): Promise<void>
}

const EVERY_MS = 250
const RETRY_MS = 1_000
const BATCHES_AT_ONCE = 20
const PARTS_AT_ONCE = 100
const EVENTS_AT_ONCE = 2_000
const LAST_MS = 1_000
const QUIET_MS = 10_000

export type SharedEventsOptions = {
  settings: PostgresSettings
  /** Of the process, for PostgreSQL. */
  name: string
  file: string
  /** The history that all machines' figures go to; null where another process shows it, or none. */
  history: HistoryCopy | null
  /** Whether this process reads and writes marks. */
  hasMarks: boolean
  now: () => number
  /** At most once in ten seconds. */
  onFailed(error: unknown): void
  onSetAside(file: string, error: unknown): void
}

export function openSharedEvents(options: SharedEventsOptions): SharedEvents {
  const link = createPostgresLink({
    ...{ settings: options.settings, name: `${options.name} events` },
    prepare: client => prepareEventTables(client, false),
  })
  const copy = createEventCopy(options)
  const { history } = options
  /** How far PostgreSQL has the outbox of this source; null where that is to be asked. */
  let known: { source: string; last: number } | null = null
  let first: PromiseWithResolvers<void> | null = Promise.withResolvers()
  let saidAt = Number.NEGATIVE_INFINITY
  const looking = createRepeatedLook({
    async look() {
      const sent = await send()
      const taken = await take()
      if (!sent && !taken) begun()
      return sent || taken
    },
    ...{ everyMs: EVERY_MS, retryMs: RETRY_MS },
    onFailed(error) {
      known = null
      begun()
      if (performance.now() - saidAt < QUIET_MS) return
      saidAt = performance.now()
      options.onFailed(error)
    },
  })

  function begun(): void {
    first?.resolve()
    first = null
  }

  /** Gives whether there may be more. */
  async function send(): Promise<boolean> {
    const outbox = copy.outbox()
    if (outbox.after(0, 1).length === 0) return false
    const { source } = outbox
    if (known?.source !== source) known = { source, last: await link.ask(client => lastOf(client, source)) }
    const rows = atOnce(outbox.after(known.last, PARTS_AT_ONCE))
    const reached = rows.at(-1)?.number
    if (reached !== undefined) {
      const { last } = known
      known = null // until it is known what became of it
      if (!(await link.ask(client => append(client, source, last, rows)))) return true
      known = { source, last: reached }
    }
    outbox.sent(reached ?? known.last)
    return true
  }

  async function sendAll(): Promise<void> {
    let more = true
    while (more) more = await send()
  }

  async function take(): Promise<boolean> {
    const position = Math.min(copy.position(), history?.position() ?? Number.POSITIVE_INFINITY)
    const { rows } = await link.ask(client =>
      client.query<EventBatch>({
        name: 'event_batches',
        text: `SELECT last::float8 AS last, numbers, source, content FROM rollcall_events.batches
          WHERE last > $1 ORDER BY last LIMIT ${BATCHES_AT_ONCE}`,
        values: [position],
      }),
    )
    if (rows.length === 0) return false
    copy.take(rows)
    history?.take(rows)
    return rows.length === BATCHES_AT_ONCE
  }

  return {
    async start() {
      const { promise } = first!
      looking.start()
      await promise
      if (!options.hasMarks) return
      const marks = await link.ask(readMarks).catch(() => [])
      copy.setMarks(marks)
    },
    readUpTo: mark =>
      link.ask(async client => {
        const { rows } = await client.query<{ value: number }>(
          'SELECT value::float8 AS value FROM rollcall_events.marks WHERE name = $1',
          [mark],
        )
        return rows[0]?.value ?? null
      }),
    async appendRead({ name, was, value }, events, counts) {
      const { rows, failed } = rowsOf(events, null)
      if (failed.length > 0) options.onFailed(failed[0])
      const numbers = Math.max(rows.length, counts.length > 0 ? 1 : 0)
      const content = encodeBatch([encodePart({ events: rows, counts, marks: [] })])
      const isTaken = await link.ask(async client => {
        const answer = await client.query<{ taken: boolean }>(
          'SELECT rollcall_events.append_read($1, $2, $3, $4, $5) AS taken',
          [name, was, value, numbers, content],
        )
        return answer.rows[0]?.taken === true
      })
      looking.wake()
      return isTaken
    },
    sendFigures(figures) {
      try {
        copy.outbox().put(encodePart({ figures }))
        return true
      } catch {
        return false // somebody else writes the file, or it is damaged: its log says so
      }
    },
    async stop() {
      await looking.stop()
      await Promise.race([sendAll().catch(() => {}), delay(LAST_MS, undefined, { ref: false })])
      link.close()
      copy.close()
      history?.close()
    },
  }
}

/** At least one, and no more than one batch should have. */
function atOnce(rows: readonly OutboxRow[]): OutboxRow[] {
  let events = 0
  return rows.filter((row, index) => {
    events += row.events
    return index === 0 || events <= EVENTS_AT_ONCE
  })
}

async function lastOf(client: PostgresClient, source: string): Promise<number> {
  const { rows } = await client.query<{ last: number }>(
    'SELECT last::float8 AS last FROM rollcall_events.sources WHERE source = $1',
    [source],
  )
  return rows[0]?.last ?? 0
}

/** Gives whether it is there now; false where the source has come elsewhere than expected. */
async function append(
  client: PostgresClient,
  source: string,
  expected: number,
  rows: readonly OutboxRow[],
): Promise<boolean> {
  const content = encodeBatch(rows.map(row => row.content))
  // Of one name the last: a statement writes it once.
  const marks = new Map(readBatch(content).marks.map(({ name, value }) => [name, value]))
  const answer = await client.query<{ taken: boolean }>({
    name: 'append_events',
    text: 'SELECT rollcall_events.append($1, $2, $3, $4, $5, $6, $7) AS taken',
    values: [
      ...[source, expected, rows.at(-1)!.number, rows.reduce((sum, row) => sum + row.events, 0), content],
      ...[[...marks.keys()], [...marks.values()]],
    ],
  })
  return answer.rows[0]?.taken === true
}

async function readMarks(client: PostgresClient): Promise<Mark[]> {
  const { rows } = await client.query<Mark>('SELECT name, value::float8 AS value FROM rollcall_events.marks')
  return rows.filter(({ name }) => sharedMarks.test(name))
}
