// A registry in PostgreSQL becomes one of one machine: a replica that is made a registry of its own, compared with PostgreSQL row by row while
// nobody can change that. What was there stays under another name, and processes that still use it change nothing any more.
import Sqlite from 'better-sqlite3'
import { RegistryError } from '../registry-error.ts'
import { OF_BROKERS } from './move.ts'
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { rowsAfter } from './registry-rows.ts'
import { startReplica } from './replica.ts'
import { makeOwnRegistry } from './replica-file.ts'
import { allRows, contentFinder } from './row-capture.ts'

/** For one statement on all rows. */
const ANSWER_MS = 600_000
/** What the schema in PostgreSQL is called from then on. */
export const MOVED_SCHEMA = 'rollcall_moved'

/**
 * Makes `file`, a new one, of the registry in PostgreSQL. `check` is asked before the registry there is given up, and throws to keep it. Gives
 * the number of rows. Throws where notes of brokers wait, the registry changed meanwhile, or a row is not as it was: then PostgreSQL is as before.
 */
export async function moveRegistryBack(options: {
  settings: PostgresSettings
  file: string
  name: string
  check(): Promise<void>
}): Promise<number> {
  const { settings, file, name } = options
  const replica = await startReplica({ settings, file, name, onFailed() {} })
  const position = { sequence: replica.sequence(), id: replica.registryId() }
  await replica.stop()
  makeOwnRegistry(file, OF_BROKERS)
  await options.check()
  const link = createPostgresLink({ settings, name, answerMs: ANSWER_MS })
  try {
    return await link.ask(async client => {
      await client.query('BEGIN')
      // Groups that are on their way come too late.
      const { rowCount } = await client.query(
        'UPDATE rollcall.registry_head SET sequence = sequence + 1 WHERE sequence = $1 AND registry_id = $2',
        [position.sequence, position.id],
      )
      if (rowCount !== 1)
        throw new RegistryError(
          'registry_busy',
          'the registry in PostgreSQL changed meanwhile: stop all services and brokers first',
        )
      const notes = await client.query('SELECT FROM rollcall.broker_notes LIMIT 1')
      if (notes.rowCount !== 0)
        throw new RegistryError(
          'registry_busy',
          'notes of brokers wait in PostgreSQL: stop the brokers, let a provisioning service run for some seconds, then stop it',
        )
      const rows = await compared(client, file)
      const taken = await client.query('SELECT WHERE to_regnamespace($1) IS NOT NULL', [MOVED_SCHEMA])
      if (taken.rowCount !== 0)
        throw new RegistryError(
          'registry_replicated',
          `PostgreSQL has a schema ${MOVED_SCHEMA} already, of an earlier move: rename or drop it first`,
        )
      await client.query(`ALTER SCHEMA rollcall RENAME TO ${MOVED_SCHEMA}`)
      await client.query('COMMIT')
      return rows
    })
  } finally {
    link.close()
  }
}

async function compared(client: PostgresClient, file: string): Promise<number> {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    const contentOf = contentFinder(sqlite)
    let rows = 0
    for await (const batch of rowsAfter(client, 0))
      for (const row of batch) {
        if (!row.live || OF_BROKERS.includes(row.table)) continue
        if (contentOf(row) !== row.content)
          throw new RegistryError(
            'registry_corrupt',
            `row ${row.key} of ${row.table} is not as in PostgreSQL`,
          )
        rows += 1
      }
    let here = 0
    for (const _ of allRows(sqlite)) here += 1
    if (here !== rows)
      throw new RegistryError('registry_corrupt', `${here} rows were made of ${rows} in PostgreSQL`)
    return rows
  } finally {
    sqlite.close()
  }
}
