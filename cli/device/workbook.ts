// A workbook (.xlsx) as the table that the service takes: the rows of its first sheet as CSV. Read whole, so bounded.
import { readFile, stat } from 'node:fs/promises'
import { CommandFailed, fileFault, UsageError } from '../errors.ts'

const WORKBOOK_BYTES_MAX = 64 * 1024 * 1024

/** The first sheet, or the one of this name, line by line. @throws CommandFailed where it is no workbook */
export async function* workbookLines(file: string, sheet?: string): AsyncGenerator<Buffer> {
  let count = 0
  for (const cells of await rowsOf(file, sheet)) {
    count += 1
    yield Buffer.from(`${cells.map(quoted).join(',')}\n`)
  }
  if (count === 0)
    throw new UsageError(`the first sheet of ${file} is empty`, 'put the rows into the first sheet')
}

async function rowsOf(file: string, sheet: string | undefined): Promise<unknown[][]> {
  const bytes = await bytesOf(file)
  const { readSheet } = await import('read-excel-file/node')
  try {
    return (await readSheet(bytes, ...(sheet === undefined ? [] : [sheet]))) as unknown[][]
  } catch (error) {
    throw new CommandFailed(
      `${file} cannot be read as a workbook: ${(error as Error).message}`,
      'save it anew as .xlsx, or export it as CSV',
      { cause: error },
    )
  }
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
