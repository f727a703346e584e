// Writes rows that another process, or this one, has published into a replica: what was there of them goes first, so that no state in
// between can violate a constraint. The connection has no triggers: what they did elsewhere is among the rows.
import type { Database, Statement } from 'better-sqlite3'
import { asRegistryError, RegistryError } from '../registry-error.ts'
import { type ReplicatedTable, readReplicatedTables, sequenceTable } from './replicated-tables.ts'
import type { ChangedRow } from './row-capture.ts'
import { decodeValues, type SqliteValue } from './row-encoding.ts'

export type TableStatements = {
  table: ReplicatedTable
  remove: Statement<SqliteValue[]>
  insert: Statement<SqliteValue[]>
}
/** Characters of a key that an error shows. */
const KEY_SHOWN = 100

/**
 * All verbs are called within a transaction of the caller's. They throw `registry_corrupt` where a row cannot be written: of a table that this
 * version does not know, or that breaks a constraint; what SQLite says of its file is thrown as it is.
 */
export function prepareRowApplication(sqlite: Database) {
  const tables = new Map<string, TableStatements>()
  for (const table of [...readReplicatedTables(sqlite), sequenceTable]) {
    const where = table.key.map(column => `${column} = ?`).join(' AND ')
    const places = table.columns.map(() => '?').join(', ')
    tables.set(table.name, {
      table,
      remove: sqlite.prepare(`DELETE FROM ${table.name} WHERE ${where}`),
      insert: sqlite.prepare(`INSERT INTO ${table.name} (${table.columns.join(', ')}) VALUES (${places})`),
    })
  }

  function statementsOf(row: ChangedRow): TableStatements {
    const found = tables.get(row.table)
    if (found === undefined)
      throw new Error(`the registry in PostgreSQL has a table ${row.table}, which is unknown here`)
    return found
  }

  function remove(row: ChangedRow): void {
    const { table, remove } = statementsOf(row)
    const values = decodeValues(row.content)
    remove.run(...(row.live ? table.key.map(column => values[table.columns.indexOf(column)]!) : values))
  }

  const insert = (row: ChangedRow) => void statementsOf(row).insert.run(...decodeValues(row.content))

  return {
    removeRow: (row: ChangedRow): void => naming(row, remove),
    /** SQLite raises the numbers of AUTOINCREMENT by itself as rows come: those are written last, over what it noted. */
    insertRows(rows: readonly ChangedRow[]): void {
      const numbers: ChangedRow[] = []
      for (const row of rows) {
        if (!row.live) continue
        if (row.table === sequenceTable.name) numbers.push(row)
        else naming(row, insert)
      }
      for (const row of numbers) {
        naming(row, remove)
        naming(row, insert)
      }
    },
    /** Of all tables, SQLite's own last. */
    tables: [...tables.values()],
    /** Before a first sync: a new file holds rows of its own. */
    removeAll(): void {
      for (const { table } of tables.values()) sqlite.exec(`DELETE FROM ${table.name}`)
    },
  }
}

/** A row that cannot be written stops the replica: which one it is must be said. */
function naming(row: ChangedRow, work: (row: ChangedRow) => void): void {
  namingRow(row.table, () => work(row), `the row ${row.key.slice(0, KEY_SHOWN)}`)
}

/** Throws `registry_corrupt` in place of what is wrong with a row of the table. */
export function namingRow(table: string, work: () => void, which = 'a row'): void {
  try {
    work()
  } catch (error) {
    if (asRegistryError(error) !== error) throw error
    throw new RegistryError(
      'registry_corrupt',
      `${which} of the table ${table} in PostgreSQL cannot be written into the replica (${(error as Error).message}): repair the row, or restore a backup`,
      { cause: error },
    )
  }
}
