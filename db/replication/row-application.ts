// Writes rows that another process, or this one, has published into a replica: what was there of them goes first, so that no state in
// between can violate a constraint. The connection has no triggers: what they did elsewhere is among the rows.
import type { Database, Statement } from 'better-sqlite3'
import { type ReplicatedTable, readReplicatedTables, sequenceTable } from './replicated-tables.ts'
import type { ChangedRow } from './row-capture.ts'
import { decodeValues, type SqliteValue } from './row-encoding.ts'

type Statements = {
  table: ReplicatedTable
  remove: Statement<SqliteValue[]>
  insert: Statement<SqliteValue[]>
}
export type RowApplication = ReturnType<typeof prepareRowApplication>

/** All verbs are called within a transaction of the caller's. They throw where a row is of a table that this version does not know. */
export function prepareRowApplication(sqlite: Database) {
  const tables = new Map<string, Statements>()
  for (const table of [...readReplicatedTables(sqlite), sequenceTable]) {
    const where = table.key.map(column => `${column} = ?`).join(' AND ')
    const places = table.columns.map(() => '?').join(', ')
    tables.set(table.name, {
      table,
      remove: sqlite.prepare(`DELETE FROM ${table.name} WHERE ${where}`),
      insert: sqlite.prepare(`INSERT INTO ${table.name} (${table.columns.join(', ')}) VALUES (${places})`),
    })
  }

  function statementsOf(row: ChangedRow): Statements {
    const found = tables.get(row.table)
    if (found === undefined)
      throw new Error(`the registry in PostgreSQL has a table ${row.table}, which is unknown here`)
    return found
  }

  return {
    removeRow(row: ChangedRow): void {
      const { table, remove } = statementsOf(row)
      const values = decodeValues(row.content)
      remove.run(...(row.live ? table.key.map(column => values[table.columns.indexOf(column)]!) : values))
    },
    /** SQLite raises the numbers of AUTOINCREMENT by itself as rows come: those are written last, over what it noted. */
    insertRows(rows: readonly ChangedRow[]): void {
      const numbers: ChangedRow[] = []
      for (const row of rows) {
        if (!row.live) continue
        if (row.table === sequenceTable.name) numbers.push(row)
        else statementsOf(row).insert.run(...decodeValues(row.content))
      }
      for (const row of numbers) {
        this.removeRow(row)
        statementsOf(row).insert.run(...decodeValues(row.content))
      }
    },
    /** Before a first sync: a new file holds rows of its own. */
    removeAll(): void {
      for (const { table } of tables.values()) sqlite.exec(`DELETE FROM ${table.name}`)
    },
  }
}
