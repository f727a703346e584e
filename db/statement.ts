// Statements for verbs that run a thousand times a second: a query builder takes longer to put one together than SQLite to
// run it. Prepared once, run on the connection of the verb's transaction; every value is bound.
import type { Database, Statement } from 'better-sqlite3'
import type { Insertable, Transaction } from 'kysely'
import type { Schema } from './schema.ts'

type Value = string | number | null | Buffer

const STATEMENTS_MAX = 500
const statements = new WeakMap<Database, Map<string, Statement>>()
const connections = new WeakMap<Transaction<Schema>, Database>()

/** The statement of this text, prepared when it is first asked for. */
export function prepared(sqlite: Database, text: string): Statement {
  let known = statements.get(sqlite)
  if (known === undefined) {
    known = new Map()
    statements.set(sqlite, known)
  }
  let statement = known.get(text)
  if (statement === undefined) {
    statement = sqlite.prepare(text)
    if (known.size >= STATEMENTS_MAX) known.clear()
    known.set(text, statement)
  }
  return statement
}

/** Says which connection a transaction runs on. Nobody else writes there until it ends. */
export function runsOn(transaction: Transaction<Schema>, sqlite: Database): void {
  connections.set(transaction, sqlite)
}

/** Inserts a row; `conflict` is what follows ON CONFLICT. Gives whether it was inserted. */
export async function insert<Table extends keyof Schema>(
  transaction: Transaction<Schema>,
  table: Table,
  row: Insertable<Schema[Table]>,
  conflict = '',
): Promise<boolean> {
  const columns = Object.keys(row)
  const places = columns.map(() => '?').join(', ')
  const text = `INSERT INTO ${table} (${columns.join(', ')}) VALUES (${places})${conflict && ` ON CONFLICT ${conflict}`}`
  return (await run(transaction, text, ...(Object.values(row) as Value[]))) === 1
}

/** The rows that a SELECT gives. */
export async function rowsOf<Row>(
  transaction: Transaction<Schema>,
  text: string,
  ...values: Value[]
): Promise<Row[]> {
  return statementOf(transaction, text).all(...values) as Row[]
}

/** Runs a statement and gives how many rows it changed. */
export async function run(
  transaction: Transaction<Schema>,
  text: string,
  ...values: Value[]
): Promise<number> {
  return statementOf(transaction, text).run(...values).changes
}

function statementOf(transaction: Transaction<Schema>, text: string): Statement {
  const sqlite = connections.get(transaction)
  if (sqlite === undefined) throw new Error('a statement runs inside of a verb alone')
  return prepared(sqlite, text)
}
