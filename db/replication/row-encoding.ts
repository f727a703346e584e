// Values of SQLite as text that PostgreSQL keeps as it is, and back: exact for each type, whatever the text holds.
import { createHash } from 'node:crypto'

/** As better-sqlite3 gives and takes them with safe integers: an integer is a bigint, a real is a number. */
export type SqliteValue = null | bigint | number | string | Buffer
type Encoded = null | number | string | { integer: string } | { real: string } | { blob: string }

/** PostgreSQL refuses keys of an index above some 2,700 bytes; a longer one stands there as its hash. */
const KEY_CHARACTERS_MAX = 500

/** A JSON array in ASCII and what JSON leaves as it is: NUL and lone surrogates are escaped. */
export function encodeValues(values: readonly SqliteValue[]): string {
  return JSON.stringify(values.map(encoded))
}

/** Throws a SyntaxError where the text is none of `encodeValues`. */
export function decodeValues(text: string): SqliteValue[] {
  return (JSON.parse(text) as Encoded[]).map(decoded)
}

/** As `decodeValues` of many rows at once; integers of columns that hold nothing else are numbers. */
export function decodeRows(texts: string, isInteger: readonly boolean[]): (SqliteValue | number)[][] {
  const rows = JSON.parse(`[${texts}]`) as (Encoded | bigint | Buffer)[][]
  for (const row of rows)
    for (let at = 0; at < row.length; at += 1) {
      const value = row[at] as Encoded
      if (value !== null && typeof value !== 'string' && !(typeof value === 'number' && isInteger[at]))
        row[at] = decoded(value) as bigint | Buffer
    }
  return rows as (SqliteValue | number)[][]
}

/** What a row is found by in PostgreSQL. */
export function keyText(values: readonly SqliteValue[]): string {
  const text = encodeValues(values)
  return text.length <= KEY_CHARACTERS_MAX ? text : `#${createHash('sha256').update(text).digest('hex')}`
}

function encoded(value: SqliteValue): Encoded {
  if (typeof value === 'bigint')
    return BigInt(Number(value)) === value && Number.isSafeInteger(Number(value))
      ? Number(value)
      : { integer: String(value) }
  // Not as a JSON number, which stands for an integer.
  if (typeof value === 'number') return { real: String(value) }
  if (Buffer.isBuffer(value)) return { blob: value.toString('base64') }
  return value
}

function decoded(value: Encoded): SqliteValue {
  if (typeof value === 'number') return BigInt(value)
  if (value === null || typeof value === 'string') return value
  if ('integer' in value) return BigInt(value.integer)
  if ('real' in value) return Number(value.real)
  return Buffer.from(value.blob, 'base64')
}
