// Which rows a group of verbs changed: triggers of the writing connection alone note their keys, also those that other triggers and
// foreign keys changed. Refuses to know where the rows go.
import type { Database } from 'better-sqlite3'
import { type ReplicatedTable, readReplicatedTables, sequenceTable } from './replicated-tables.ts'
import { decodeValues, encodeValues, keyText, type SqliteValue } from './row-encoding.ts'

/** A row as a group left it. `content` holds the values of a row that is there, and the key of one that is gone. */
export type ChangedRow = { table: string; key: string; live: boolean; content: string }

export type RowCapture = {
  /** Called first in a transaction. */
  begin(): void
  /** The rows that changed since then. Called within the transaction. */
  changes(): ChangedRow[]
}

const KEY_PLACES = ['key1', 'key2', 'key3']

/** Puts the triggers on this connection. They last as long as it does, and other connections never see them. */
export function captureRows(sqlite: Database): RowCapture {
  const tables = readReplicatedTables(sqlite)
  sqlite.exec(`CREATE TEMP TABLE captured_rows (number INTEGER, ${KEY_PLACES.join(', ')})`)
  for (const [number, table] of tables.entries()) sqlite.exec(triggersOf(table, number))

  const captured = sqlite
    .prepare<[], [bigint, ...SqliteValue[]]>('SELECT DISTINCT * FROM captured_rows ORDER BY 1, 2, 3, 4')
    .raw()
    .safeIntegers()
  const forget = sqlite.prepare('DELETE FROM captured_rows')
  const finders = tables.map(table => {
    const where = table.key.map(column => `${column} = ?`).join(' AND ')
    return sqlite
      .prepare<SqliteValue[], SqliteValue[]>(`${selectOf(table)} WHERE ${where}`)
      .raw()
      .safeIntegers()
  })
  const given = sqlite.prepare<[], [string, bigint]>(selectOf(sequenceTable)).raw().safeIntegers()
  let givenBefore = new Map<string, bigint>()

  return {
    begin() {
      forget.run()
      givenBefore = new Map(given.all())
    },
    changes() {
      const rows = captured.all().map(([number, ...places]) => {
        const table = tables[Number(number)]!
        const key = places.slice(0, table.key.length)
        const values = finders[Number(number)]!.get(...key)
        return values === undefined ? goneRow(table, key) : liveRow(table, values)
      })
      const numbers = given.all().filter(([name, seq]) => givenBefore.get(name) !== seq)
      return [...rows, ...numbers.map(row => liveRow(sequenceTable, row))]
    },
  }
}

/** Every replicated row of a registry, table by table, in the order of the keys. */
export function* allRows(sqlite: Database): Generator<ChangedRow> {
  for (const table of [...readReplicatedTables(sqlite), sequenceTable]) {
    const ordered = `${selectOf(table)} ORDER BY ${table.key.join(', ')}`
    const rows = sqlite.prepare<[], SqliteValue[]>(ordered).raw().safeIntegers()
    for (const values of rows.iterate()) yield liveRow(table, values)
  }
}

/** What a registry holds under the key of a replicated row, encoded; null where there is no such row or table. */
export function contentFinder(sqlite: Database): (row: ChangedRow) => string | null {
  const finders = new Map(
    [...readReplicatedTables(sqlite), sequenceTable].map(table => {
      const where = table.key.map(column => `${column} = ?`).join(' AND ')
      const find = sqlite.prepare<SqliteValue[], SqliteValue[]>(`${selectOf(table)} WHERE ${where}`)
      return [table.name, { table, find: find.raw().safeIntegers() }] as const
    }),
  )
  return row => {
    const finder = finders.get(row.table)
    if (finder === undefined) return null
    const values = decodeValues(row.content)
    const { key, columns } = finder.table
    const found = finder.find.get(...key.map(column => values[columns.indexOf(column)]!))
    return found === undefined ? null : encodeValues(found)
  }
}

function selectOf({ name, columns }: ReplicatedTable): string {
  return `SELECT ${columns.join(', ')} FROM main.${name}`
}

function liveRow({ name, key, columns }: ReplicatedTable, values: SqliteValue[]): ChangedRow {
  const found = key.map(column => values[columns.indexOf(column)]!)
  return { table: name, key: keyText(found), live: true, content: encodeValues(values) }
}

function goneRow({ name }: ReplicatedTable, key: SqliteValue[]): ChangedRow {
  return { table: name, key: keyText(key), live: false, content: encodeValues(key) }
}

function triggersOf({ name, key }: ReplicatedTable, number: number): string {
  if (key.length > KEY_PLACES.length)
    throw new Error(`the key of ${name} has more columns than can be captured`)
  const places = KEY_PLACES.slice(0, key.length).join(', ')
  const note = (row: 'NEW' | 'OLD') =>
    `INSERT INTO captured_rows (number, ${places}) VALUES (${[number, ...key.map(column => `${row}.${column}`)].join(', ')});`
  const trigger = (event: string, rows: readonly ('NEW' | 'OLD')[]) =>
    `CREATE TEMP TRIGGER captured_${event}_of_${name} AFTER ${event} ON main.${name} BEGIN ${rows.map(note).join(' ')} END;`
  return [trigger('INSERT', ['NEW']), trigger('UPDATE', ['OLD', 'NEW']), trigger('DELETE', ['OLD'])].join(
    '\n',
  )
}
