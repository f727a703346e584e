// Forgets what nobody will ask for: rows that were deleted long ago, which replicas need to delete theirs, and sources of notes that are
// no more; and events beyond what machines keep. By the holder of the lease.
import { pruneEvents } from './event-tables.ts'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { GROUPS_KEPT } from './registry-rows.ts'

const EVERY_MS = 3_600_000
/** More processes of brokers than are alive at a time. */
const SOURCES_KEPT = 10_000
const ANSWER_MS = 60_000

/** Looks once an hour. `onFailed` hears of a look that failed; the next one makes up for it. */
export function startPruning(options: {
  settings: PostgresSettings
  name: string
  leads(): boolean
  onFailed(error: unknown): void
}): { close(): void } {
  const timer = setInterval(() => {
    if (!options.leads()) return
    pruneRegistry(options, GROUPS_KEPT).catch(options.onFailed)
    pruneEvents(options).catch(options.onFailed)
  }, EVERY_MS)
  timer.unref()
  return { close: () => clearInterval(timer) }
}

/** The head says from when on the rows are complete, in the statement that removes those from before. */
export async function pruneRegistry(
  options: { settings: PostgresSettings; name: string },
  groupsBehindMax: number,
): Promise<void> {
  const link = createPostgresLink({ ...options, name: `${options.name} prune`, answerMs: ANSWER_MS })
  try {
    await link.ask(async client => {
      await client.query(
        `WITH head AS (
           UPDATE rollcall.registry_head SET complete_from = sequence - $1::bigint
           WHERE sequence - $1::bigint > complete_from RETURNING complete_from
         )
         DELETE FROM rollcall.registry_rows USING head WHERE NOT live AND registry_rows.sequence <= head.complete_from`,
        [groupsBehindMax],
      )
      await client.query(
        `DELETE FROM rollcall.note_sources WHERE number <= (SELECT max(number) - $1 FROM rollcall.note_sources)`,
        [SOURCES_KEPT],
      )
    })
  } finally {
    link.close()
  }
}
