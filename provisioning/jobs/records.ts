// Records out of a stream of bytes: JSON lines or a table, one at a time, in bounded memory whatever the stream holds.
// What is no record is told as one that cannot be read; what cannot be gone on from ends the stream with a Problem.

import { once } from 'node:events'
import { CsvError, parse } from 'csv-parse'
import { createEventLoopYield } from '../../db/event-loop-yield.ts'
import { type Delimiter, delimiterOf } from '../../db/jobs/table-format.ts'
import { Problem } from '../http/problem.ts'
import { asUtf8, type TextLayout } from './file-text.ts'
import { jobProblems } from './job-problems.ts'
import { privateKey, type RowFault } from './row-fault.ts'

export type UploadFormat = 'ndjson' | 'csv'
/** How a file is written, filled in as it is read; delimiter and header of a table alone. */
export type FileLayout = TextLayout & { delimiter: Delimiter | null; header: readonly string[] | null }
/** `line` is where it begins in the file, from 1. */
type FileRecord = { line: number } & ({ record: Record<string, unknown> } | { fault: RowFault })

const ROW_BYTES_MAX = 64 * 1024
const COLUMNS_MAX = 200
/** How long records are handed on before everybody else has a turn. */
const TURN_MS = 8
/** For all uploads together. */
const nextTurn = createEventLoopYield()

export async function* readRecords(
  bytes: AsyncIterable<Buffer>,
  format: UploadFormat,
  layout: FileLayout = newLayout(),
): AsyncGenerator<FileRecord> {
  let began = performance.now()
  const isTable = format === 'csv'
  const text = asUtf8(bytes, layout, isTable)
  for await (const record of isTable ? csvRecords(text, layout) : jsonRecords(text)) {
    if (performance.now() - began > TURN_MS) {
      await nextTurn()
      began = performance.now()
    }
    yield record
  }
}

export function newLayout(): FileLayout {
  return { encoding: 'UTF-8', delimiter: null, header: null }
}

async function* jsonRecords(bytes: AsyncIterable<Buffer>): AsyncGenerator<FileRecord> {
  let line = 0
  for await (const text of linesOf(bytes)) {
    line += 1
    if (text === null) yield { line, fault: tooLong() }
    else {
      const found = recordOf(text)
      if (found !== null) yield { line, ...found }
    }
  }
}

const NEWLINE = 0x0a

/** Lines without their ends; null for one that is too long, of which nothing is kept. */
async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer | null> {
  let parts: Buffer[] = []
  let length = 0
  for await (const chunk of bytes) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const last = chunk.subarray(from, end)
      yield length + last.length > ROW_BYTES_MAX ? null : Buffer.concat([...parts, last])
      parts = []
      length = 0
      from = end + 1
    }
    const rest = chunk.subarray(from)
    length += rest.length
    if (length > ROW_BYTES_MAX) parts = []
    else if (rest.length > 0) parts.push(Buffer.from(rest))
  }
  if (length > 0) yield length > ROW_BYTES_MAX ? null : Buffer.concat(parts)
}

const decoder = new TextDecoder('utf-8', { fatal: true })

function recordOf(bytes: Buffer): { record: Record<string, unknown> } | { fault: RowFault } | null {
  try {
    // The decoder swallows a byte order mark, as editors leave one.
    const text = decoder.decode(bytes)
    if (text.trim() === '') return null
    if (text.includes('PRIVATE KEY')) return { fault: privateKey() }
    const record: unknown = JSON.parse(text)
    if (typeof record !== 'object' || record === null || Array.isArray(record))
      return { fault: malformed('the line is no JSON object') }
    return { record: record as Record<string, unknown> }
  } catch (error) {
    return { fault: malformed(error instanceof SyntaxError ? 'the line is no JSON' : 'the line is no UTF-8') }
  }
}

async function* csvRecords(bytes: AsyncIterable<Buffer>, layout: FileLayout): AsyncGenerator<FileRecord> {
  let header: string[] | null = null
  const { head, rest } = await headOf(bytes)
  const said = /^\ufeff?sep=([,;\t])\r?\n/.exec(head)?.[1]
  layout.delimiter = (said as Delimiter | undefined) ?? delimiterOf(head)
  // Excel's own line before the header.
  const skipped = said === undefined ? 0 : 1
  const parser = parse({
    bom: true,
    delimiter: layout.delimiter,
    from_line: 1 + skipped,
    columns: false,
    info: true,
    max_record_size: ROW_BYTES_MAX,
    relax_column_count: true,
    skip_empty_lines: true,
  })
  const fed = feed(rest, parser)
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[]
      info: { lines: number }
    }>) {
      if (header === null) {
        header = headerOf(record)
        layout.header = header
      } else yield { line: info.lines - lineBreaksIn(record), ...recordOfCells(header, record) }
    }
    await fed
  } catch (error) {
    throw error instanceof CsvError ? csvProblem(error) : error
  } finally {
    parser.destroy()
    await fed.catch(() => {})
  }
}

/** The first line, at most; and all of it once more. */
async function headOf(bytes: AsyncIterable<Buffer>): Promise<{ head: string; rest: AsyncGenerator<Buffer> }> {
  const iterator = bytes[Symbol.asyncIterator]()
  const read: Buffer[] = []
  let length = 0
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    read.push(next.value)
    length += next.value.length
    if (next.value.includes(NEWLINE) || length > ROW_BYTES_MAX) break
  }
  const rest = async function* () {
    try {
      yield* read
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value
    } finally {
      // A reader that stops early lets go of the upload, or nothing drains the rest of it.
      await iterator.return?.()
    }
  }
  return { head: Buffer.concat(read).toString(), rest: rest() }
}

/** The parser tells the line in which a row ends; a quoted cell may hold line breaks. */
function lineBreaksIn(cells: readonly string[]): number {
  return cells.reduce((count, cell) => count + (cell.match(/\r\n|\n|\r/g)?.length ?? 0), 0)
}

/** Hands the bytes on as fast as they are parsed. */
async function feed(bytes: AsyncIterable<Buffer>, parser: ReturnType<typeof parse>): Promise<void> {
  const closed = new Promise<void>(resolve => parser.once('close', resolve))
  try {
    for await (const chunk of bytes) {
      if (parser.destroyed) return
      if (!parser.write(chunk)) await Promise.race([once(parser, 'drain'), closed])
    }
    parser.end()
  } catch (error) {
    parser.destroy(error as Error)
    throw error
  }
}

function headerOf(cells: string[]): string[] {
  const names = cells.map(cell => cell.trim())
  const fault =
    names.length > COLUMNS_MAX
      ? `it has more than ${COLUMNS_MAX} columns`
      : names.some(name => name === '')
        ? 'a column has no name'
        : new Set(names).size < names.length
          ? 'two columns have the same name'
          : null
  if (fault !== null) throw new Problem(jobProblems, 'upload_unusable', `the header in line 1: ${fault}`)
  return names
}

function recordOfCells(
  header: string[],
  cells: string[],
): { record: Record<string, unknown> } | { fault: RowFault } {
  if (cells.length !== header.length)
    return { fault: malformed(`the row has ${cells.length} cells, the header ${header.length}`) }
  if (cells.some(cell => cell.includes('PRIVATE KEY'))) return { fault: privateKey() }
  if (cells.some(cell => cell.includes('\ufffd'))) return { fault: malformed('the row is no UTF-8') }
  const record: Record<string, unknown> = Object.create(null)
  for (const [index, name] of header.entries()) record[name] = unguarded(cells[index] ?? '')
  return { record }
}

/** An export puts ' before what a spreadsheet would take for a formula. */
function unguarded(cell: string): string {
  return /^'[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell
}

function csvProblem(error: CsvError): Problem {
  const line = Number((error as { lines?: number }).lines ?? 0)
  if (error.code === 'CSV_MAX_RECORD_SIZE')
    return new Problem(
      jobProblems,
      'upload_unusable',
      `the row at line ${line} is longer than ${ROW_BYTES_MAX} bytes, or a quote is never closed`,
    )
  return new Problem(
    jobProblems,
    'upload_unusable',
    `line ${line} is no CSV: a quote is not where one can be`,
  )
}

function malformed(detail: string): RowFault {
  return { reason: 'row_malformed', detail }
}

function tooLong(): RowFault {
  return { reason: 'row_too_long', detail: `the line is longer than ${ROW_BYTES_MAX} bytes` }
}
