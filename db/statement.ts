// Statements for verbs that run a thousand times a second: a query builder takes longer to put one together than SQLite to
// run it. Inside a verb's transaction only; every value is bound.
import { CompiledQuery, type Insertable, type Transaction } from 'kysely'
import type { Schema } from './schema.ts'

type Value = string | number | null | Buffer

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
  const { rows } = await transaction.executeQuery(CompiledQuery.raw(text, values))
  return rows as Row[]
}

/** Runs a statement and gives how many rows it changed. */
export async function run(
  transaction: Transaction<Schema>,
  text: string,
  ...values: Value[]
): Promise<number> {
  const { numAffectedRows } = await transaction.executeQuery(CompiledQuery.raw(text, values))
  return Number(numAffectedRows ?? 0n)
}
