// A registry of one machine becomes the first group of a registry in PostgreSQL: all rows in one transaction, then a replica of them beside
// the file, which is compared with it row by row before anybody relies on it.
import { randomUUID } from 'node:crypto'
import Sqlite, { type Database } from 'better-sqlite3'
import { RegistryError } from '../registry-error.ts'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { preparePostgresSchema } from './postgres-schema.ts'
import { publishFirst } from './registry-rows.ts'
import { startReplica } from './replica.ts'
import { allRows, type ChangedRow } from './row-capture.ts'

/** What brokers noted about themselves ends with their last start: they enter anew, maybe by another name. */
export const OF_BROKERS = ['nodes', 'live_sessions', 'session_subscriptions']

/**
 * Copies a registry that nobody else has open into PostgreSQL, and makes `replica`, a new file, of what is there then. Gives the number of
 * rows. Throws where PostgreSQL holds a registry already, or where what is there is not what was copied.
 */
export async function moveRegistry(options: {
  sqlite: Database
  settings: PostgresSettings
  replica: string
  name: string
}): Promise<number> {
  const { sqlite, settings, replica, name } = options
  const link = createPostgresLink({ settings, name, prepare: client => preparePostgresSchema(client, true) })
  let published: boolean
  try {
    published = await link.ask(client =>
      publishFirst(client, { id: randomUUID(), writer: name, rows: rowsOf(sqlite) }),
    )
  } finally {
    link.close()
  }
  if (!published)
    throw new RegistryError(
      'registry_replicated',
      'PostgreSQL holds a registry already: name another database, or drop the schema rollcall there if nothing uses it',
    )
  const onFailed = () => {}
  await (await startReplica({ settings, file: replica, name, onFailed })).stop()
  return compared(sqlite, replica)
}

function* rowsOf(sqlite: Database): Generator<ChangedRow> {
  for (const row of allRows(sqlite)) if (!OF_BROKERS.includes(row.table)) yield row
}

/** Both give their rows in the order of the tables and keys. */
function compared(sqlite: Database, replica: string): number {
  const other = new Sqlite(replica, { readonly: true })
  try {
    const copies = rowsOf(other)
    let rows = 0
    for (const row of rowsOf(sqlite)) {
      const copy = copies.next().value as ChangedRow | undefined
      if (copy?.table !== row.table || copy.content !== row.content)
        throw new RegistryError(
          'registry_corrupt',
          `row ${row.key} of ${row.table} is not in PostgreSQL as it was`,
        )
      rows += 1
    }
    if (copies.next().done !== true)
      throw new RegistryError('registry_corrupt', 'PostgreSQL holds rows that the registry does not')
    return rows
  } finally {
    other.close()
  }
}
