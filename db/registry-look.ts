// What can be told of a registry, or of a backup of one, without changing anything beside it: SQLite leaves files behind where a
// write-ahead log is opened that nobody else has open, so such a file is read as one that cannot change.
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { APPLICATION_ID, schemaVersion } from './migrate.ts'

export type RegistryLook = {
  ours: boolean
  schema: number
  /** What this version reads and writes. */
  schemaKnown: number
  /** What SQLite's check says; `ok` where the file is whole. */
  findings: string
  /** When the last audit row was written, in ms since the epoch. */
  lastChangeAt: number | null
}

/** Whether it could be opened without making a file: its log is either gone or in use. */
export function canLook(file: string): boolean {
  return !existsSync(`${file}-wal`) || existsSync(`${file}-shm`)
}

/** The schema alone, in no time; null where the file cannot be read as a database, which a closer look then says. */
export function schemaIn(file: string): number | null {
  try {
    return look(file, value => Number(value('PRAGMA user_version')))
  } catch {
    return null
  }
}

/** @throws where SQLite cannot read it at all. */
export function lookAtRegistry(file: string): RegistryLook {
  return look(file, value => {
    const ours = value('PRAGMA application_id') === APPLICATION_ID
    const findings = String(value('PRAGMA quick_check(5)'))
    return {
      ours,
      schema: Number(value('PRAGMA user_version')),
      schemaKnown: schemaVersion,
      findings,
      lastChangeAt: ours && findings === 'ok' ? lastChange(value) : null,
    }
  })
}

/** Gives the first value that a query answers with. */
type Ask = (sql: string) => unknown

function look<Seen>(file: string, seen: (value: Ask) => Seen): Seen {
  const inUse = existsSync(`${file}-wal`)
  const url = new URL(`${pathToFileURL(file).href}${inUse ? '' : '?immutable=1'}`)
  const database = new DatabaseSync(url, { readOnly: true, timeout: 5_000 })
  try {
    return seen(sql => Object.values(database.prepare(sql).get() ?? {})[0])
  } finally {
    database.close()
  }
}

function lastChange(value: Ask): number | null {
  const at = value('SELECT at FROM audit ORDER BY seq DESC LIMIT 1')
  return typeof at === 'number' ? at : null
}
