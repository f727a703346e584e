// A workbook (.xlsx) as the table that the service takes: the rows of its first sheet as CSV. Read whole, so bounded: by its size, and by
// the memory and the time that reading it takes.
import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'

const WORKBOOK_BYTES_MAX = 64 * 1024 * 1024
/** Of the thread that reads it. */
const HEAP_MIB_MAX = 2_048
const READING_MS_MAX = 5 * 60_000

type Bounds = { heapMibMax: number; readingMsMax: number }

/** Reads the first sheet, or the one of this name; gives its lines. @throws CommandFailed where it is no workbook, or too much to read */
export async function workbookLines(
  file: string,
  sheet?: string,
  bounds: Bounds = { heapMibMax: HEAP_MIB_MAX, readingMsMax: READING_MS_MAX },
): Promise<AsyncIterable<Buffer>> {
  const rows = await rowsOf(file, sheet, bounds)
  if (rows.length === 0)
    throw new UsageError(`the first sheet of ${file} is empty`, 'put the rows into the first sheet')
  return linesOf(rows)
}

async function* linesOf(rows: readonly unknown[][]): AsyncGenerator<Buffer> {
  for (const cells of rows) yield Buffer.from(`${cells.map(quoted).join(',')}\n`)
}

async function rowsOf(file: string, sheet: string | undefined, bounds: Bounds): Promise<unknown[][]> {
  const read = await readOnThread(await bytesOf(file), sheet, bounds)
  if (typeof read !== 'string') return read
  throw new CommandFailed(
    `${file} cannot be read as a workbook: ${read}`,
    'save it anew as .xlsx, or export it as CSV',
  )
}

/** The rows, or why there are none. */
function readOnThread(
  bytes: Buffer,
  sheet: string | undefined,
  { heapMibMax, readingMsMax }: Bounds,
): Promise<unknown[][] | string> {
  const file = import.meta.url.endsWith('.ts') ? './workbook-worker.ts' : './workbook-worker.js'
  const worker = new Worker(new URL(file, import.meta.url), {
    workerData: { bytes, sheet },
    resourceLimits: { maxOldGenerationSizeMb: heapMibMax },
  })
  const tooMuch = `its cells take more than ${heapMibMax} MiB of memory`
  return new Promise<unknown[][] | string>(resolve => {
    const overdue = setTimeout(resolve, readingMsMax, `it takes longer than ${readingMsMax / 1_000} s`)
    worker.once('message', ({ rows, problem }: { rows?: unknown[][]; problem?: string }) =>
      resolve(rows ?? problem ?? ''),
    )
    worker.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooMuch : error.message),
    )
    worker.once('exit', () => {
      clearTimeout(overdue)
      resolve('the thread that read it ended')
    })
  }).finally(() => void worker.terminate())
}

async function bytesOf(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file)
    if (size > WORKBOOK_BYTES_MAX)
      throw new CommandFailed(
        `${file} is longer than ${WORKBOOK_BYTES_MAX / 2 ** 20} MiB`,
        'export it as CSV, which is read line by line',
      )
    return await readFile(file)
  } catch (error) {
    throw error instanceof CommandFailed ? error : fileFault('the rows cannot be read', file, error)
  }
}

/** RFC 4180. A date is one without a time where it has none. */
function quoted(cell: unknown): string {
  const text =
    cell === null || cell === undefined
      ? ''
      : cell instanceof Date
        ? cell.toISOString().replace(/T00:00:00\.000Z$/, '')
        : String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
