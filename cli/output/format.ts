// Data on stdout: an aligned table for people, JSON, YAML or JSON lines for programs. Refuses to write words:
// those go to stderr.
import { styleText } from 'node:util'
import { Option } from 'commander'
import { keyName } from '../../pki/key-policy.ts'
import { isObeyed, jsonOf, printable, quotedYaml } from '../errors.ts'

const formats = ['table', 'json', 'yaml', 'jsonl'] as const
export type Format = (typeof formats)[number]

/** What a table shows of a document: a heading, and the cell under it. */
export type Column<Item> = { heading: string; cell(item: Item): string | number | null }

type Writer = { write(text: string): unknown; isTTY?: boolean }

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how data is written').choices([...formats]).default('table')
}

/** Writes one document: a table shows its fields one a line. */
export async function printDocument(
  document: Record<string, unknown>,
  format: Format,
  out: Writer = process.stdout,
): Promise<void> {
  if (format === 'table') out.write(fieldTable(document))
  else out.write(await encoded(document, format))
}

/**
 * Writes a list as it arrives. Tables and JSON lines stream page by page; JSON and YAML are one document, so they wait
 * for the end. Gives the number of items.
 */
export async function printPages<Item>(
  pages: AsyncIterable<readonly Item[]>,
  columns: readonly Column<Item>[],
  format: Format,
  out: Writer = process.stdout,
): Promise<number> {
  let count = 0
  let widths = columns.map(column => column.heading.length)
  const all: Item[] = []
  for await (const items of pages) {
    count += items.length
    if (items.length === 0) continue
    if (format === 'jsonl') out.write(lines(items.map(item => jsonOf(item))))
    else if (format !== 'table') all.push(...items)
    else {
      const rows = items.map(item => columns.map(column => shown(column.cell(item))))
      const first = count === items.length
      widths = widths.map((width, at) => Math.max(width, ...rows.map(row => row[at]?.length ?? 0)))
      if (first) out.write(heading(columns, widths, out))
      out.write(lines(rows.map(row => aligned(row, widths))))
    }
  }
  if (format === 'json' || format === 'yaml') out.write(await encoded(all, format))
  return count
}

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`
}

/** Asks for each next page while the one before is written: the service is at work meanwhile. A page that nobody takes is dropped. */
export async function* readAhead<Item>(
  pages: AsyncIterable<readonly Item[]>,
): AsyncGenerator<readonly Item[]> {
  const source = pages[Symbol.asyncIterator]()
  for (let next = source.next(); ; ) {
    const { done, value } = await next
    if (done) return
    next = source.next()
    // Its failure is told when the page is taken.
    next.catch(() => {})
    yield value
  }
}

/** A list that came whole. */
export async function* onePage<Item>(items: readonly Item[]): AsyncGenerator<readonly Item[]> {
  if (items.length > 0) yield items
}

/** Stops a list after so many items. */
export async function* atMost<Item>(
  pages: AsyncIterable<readonly Item[]>,
  limit: number | undefined,
): AsyncGenerator<readonly Item[]> {
  let left = limit ?? Number.POSITIVE_INFINITY
  for await (const items of pages) {
    yield items.slice(0, left)
    left -= items.length
    if (left <= 0) return
  }
}

async function encoded(value: unknown, format: 'json' | 'yaml' | 'jsonl'): Promise<string> {
  if (format === 'json') return `${jsonOf(value, 2)}\n`
  if (format === 'jsonl') return `${jsonOf(value)}\n`
  const { stringify } = await import('yaml')
  const text = stringify(value, { lineWidth: 0 })
  if (!isObeyed(text)) return text
  return quotedYaml(stringify(value, { lineWidth: 0, blockQuote: false, defaultStringType: 'QUOTE_DOUBLE' }))
}

function fieldTable(document: Record<string, unknown>): string {
  const width = Math.max(...Object.keys(document).map(key => key.length))
  return Object.entries(document)
    .map(([key, value]) => `${key.padEnd(width)}  ${shownField(key, value)}`.trimEnd())
    .map(line => `${line}\n`)
    .join('')
}

function heading(columns: readonly { heading: string }[], widths: readonly number[], out: Writer): string {
  const text = aligned(
    columns.map(column => column.heading),
    widths,
  )
  // `styleText` knows NO_COLOR; whether this stream is a terminal is checked here, because tests hand in their own.
  return out.isTTY ? `${styleText('bold', text, { stream: process.stdout })}\n` : `${text}\n`
}

function aligned(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, at) => cell.padEnd(widths[at] ?? 0))
    .join('  ')
    .trimEnd()
}

/** A key type is stored as one word, and shown as standards name it. */
function shownField(key: string, value: unknown): string {
  return shown(key === 'keyType' && typeof value === 'string' ? keyName(value) : value)
}

/** One line of text: a certificate may name itself anything, a terminal must not obey it. */
function shown(value: unknown): string {
  if (value === null || value === undefined || value === '') return '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(shown).join(', ')
  if (typeof value === 'object') {
    const pairs = Object.entries(value)
    return pairs.length === 0
      ? '-'
      : pairs.map(([key, item]) => `${printable(key)}=${shownField(key, item)}`).join(', ')
  }
  const text = String(value)
  return /^[ -~]*$/.test(text) ? text : printable(text).replaceAll('\n', '\u{fffd}')
}
