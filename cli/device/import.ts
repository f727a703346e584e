// `rollcall device import`: a file, a workbook or a pipe becomes a job of the service, which is followed to its end.
// What is interrupted here goes on there: `rollcall job watch` takes it up again.
import { accessSync, constants, createReadStream, createWriteStream, statSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command, Option } from 'commander'
import type { Client, ImportOutcome, Job, NewJob, RowResult } from '../../client/index.ts'
import { CommandFailed, fileFault, printable, UsageError } from '../errors.ts'
import { createMeter, type Meter, retryAcrossRestarts, watchJob } from '../job/watch.ts'
import { collect } from '../options.ts'
import { type Column, type Format, printDocument, printPages } from '../output/format.ts'
import { programName } from '../program-name.ts'
import { type ServiceFlags, withService, withServiceOptions } from '../service-connection.ts'
import { workbookLines } from './workbook.ts'

type Flags = ServiceFlags & { output: Format }
type ImportFlags = Flags & {
  format?: RowFormat
  sheet?: string
  map?: string[]
  dryRun?: boolean
  pin?: boolean
  results?: string
  detach?: boolean
}

type RowFormat = 'ndjson' | 'csv' | 'xlsx'

const PAGE_ROWS = 500
const REFUSALS_TOLD = 10

export function importCommand(): Command {
  return withServiceOptions(new Command('import'))
    .summary('put many devices on the roll, from a spreadsheet, CSV or JSON lines')
    .description(
      'Uploads rows and follows the job that works them off: registers devices, enrolls their CSRs, lists certificates of\n' +
        'other CAs. Run again it does nothing twice: the same row with the same CSR keeps its certificate. Exit 1 where a\n' +
        'row was refused. Of a table, delimiter and encoding are found out, and columns such as Device ID, Serial or\n' +
        'Certificate are known by their names. Takes the lines of AWS IoT bulk registration and of an Azure IoT Hub device\n' +
        'export as they are.',
    )
    .argument('<file>', 'file with the rows, - for stdin')
    .addOption(
      new Option('--format <format>', 'how rows are written (default: by the name of the file)').choices([
        'ndjson',
        'csv',
        'xlsx',
      ]),
    )
    .option('--sheet <name>', 'sheet of the workbook (default: the first)')
    .option('--map <field=column>', 'which column stands for which field (repeatable)', collect)
    .option('--dry-run', 'judge every row, say what would come of them, and change nothing')
    .option('--pin', 'pin every certificate in a row, whatever its issuer')
    .option('--results <file>', 'write what became of each row, with its certificate, as JSON lines')
    .option('--detach', 'leave once the job is there; rollcall job watch ID follows it')
    .addHelpText(
      'after',
      `
Examples:
  rollcall device import fleet.csv --dry-run --results judged.jsonl
  rollcall device import fleet.xlsx --map deviceId=Gerät --map attr.site=Standort
  rollcall device export | rollcall device import - --format ndjson --profile spare`,
    )
    .action(importRows)
}

async function importRows(file: string, flags: ImportFlags): Promise<void> {
  if (flags.detach === true && (flags.dryRun === true || flags.results !== undefined))
    throw new UsageError(
      '--detach leaves before there are results',
      'fetch them later: rollcall job results ID',
    )
  const format = flags.format ?? formatOf(file)
  if (flags.sheet !== undefined && format !== 'xlsx')
    throw new UsageError('--sheet is for a workbook', 'leave it out, or name a .xlsx file')
  if (format === 'xlsx' && file === '-')
    throw new UsageError('a workbook is read from a file', 'name the file, or pipe CSV')
  assertThere(file)
  // Before the upload begins, which the service would take for stalled.
  const lines = format === 'xlsx' ? await workbookLines(file, flags.sheet) : null
  await withService(flags, async client => {
    const meter = createMeter()
    const job = await client.jobs
      .add(lines ?? uploaded(file, meter), {
        format: format === 'xlsx' ? 'csv' : format,
        dryRun: flags.dryRun ?? false,
        pin: flags.pin ?? false,
        map: flags.map ?? [],
      })
      .finally(() => meter.clear())
    say(understood(file, format, job))
    say(`job ${job.id}: ${job.rowsTotal.toLocaleString('en')} rows`)
    if (flags.detach === true) return printDocument(shown(job, flags.output), flags.output)
    await followJob(client, job.id, flags)
  })
}

/** Before anything is asked: a file that is not there is no fault of the service. */
function assertThere(file: string): void {
  try {
    if (file !== '-') accessSync(file, constants.R_OK)
  } catch (error) {
    throw fileFault('the rows cannot be read', file, error)
  }
}

/** One line: how the file is written, and what its columns stand for. */
function understood(
  file: string,
  format: RowFormat,
  { understood: { encoding, delimiter, columns } }: NewJob,
): string {
  const name = printable(file === '-' ? 'standard input' : file)
  if (format === 'ndjson') return `${name}: JSON lines, ${encoding}`
  const cells = delimiter === ';' ? 'semicolons' : delimiter === '\t' ? 'tabs' : 'commas'
  const how = format === 'xlsx' ? 'workbook' : `table with ${cells}, ${encoding}`
  const meaning = columns.map(({ column, field }) =>
    column === field
      ? printable(column)
      : `${printable(column)} → ${field === null ? 'unknown' : printable(field)}`,
  )
  return `${name}: ${how}; ${meaning.join(', ')}`
}

/** Waits for a job, prints what came of it, and throws where a row was refused or the job did not end well. */
export async function followJob(
  client: Client,
  id: string,
  { output, results }: { output: Format; results?: string },
): Promise<void> {
  const meter = createMeter()
  const job = await watchJob(client, id, meter).finally(() => meter.clear())
  if (results !== undefined) await writeResults(client, id, results)
  // Programs read each row; a person reads the sum, and the first rows that are wrong.
  if (job.dryRun && results === undefined && output === 'jsonl')
    await printPages(pages(client.jobs.results(id)), columns, output)
  else await printDocument(shown(job, output), output)
  await judge(client, job)
}

/** What would come of a row. */
const wouldBe: Record<ImportOutcome, string> = {
  registered: 'new',
  enrolled: 'to be enrolled',
  listed: 'to be listed',
  changed: 'to be changed',
  unchanged: 'as they are',
  refused: 'wrong',
}

async function judge(client: Client, job: Job): Promise<void> {
  const { refused } = job.counts
  const told = Object.entries(job.counts).flatMap(([outcome, count]) =>
    count > 0
      ? `${count.toLocaleString('en')} ${job.dryRun ? wouldBe[outcome as ImportOutcome] : outcome}`
      : [],
  )
  say(`${job.dryRun ? 'dry run: ' : ''}${told.join(', ') || 'nothing was done'}`)
  if (job.state !== 'done')
    throw new CommandFailed(
      `the job ${job.state === 'failed' ? 'failed' : 'was cancelled'} after ${job.rowsDone} of ${job.rowsTotal} rows${job.error === null ? '' : `: ${job.error}`}`,
      'import the same file again: what is done stays done',
    )
  if (refused === 0) return
  let count = 0
  for await (const { line, deviceId, reason, detail } of client.jobs.results(job.id, {
    outcome: 'refused',
  })) {
    say(
      `line ${line}${deviceId === null ? '' : `, ${printable(deviceId)}`}: ${reason}: ${printable(detail ?? '')}`,
    )
    count += 1
    if (count === REFUSALS_TOLD) break
  }
  throw new CommandFailed(
    `${refused} of ${job.rowsTotal} rows were refused`,
    `all of them: ${programName()} job results ${job.id} --outcome refused. Correct the rows, and import the file again`,
  )
}

async function writeResults(client: Client, id: string, file: string): Promise<void> {
  const lines = async function* () {
    for await (const result of client.jobs.results(id)) yield `${JSON.stringify(result)}\n`
  }
  try {
    await retryAcrossRestarts(() =>
      pipeline(Readable.from(lines(), { objectMode: false }), createWriteStream(file, { mode: 0o600 })),
    )
  } catch (error) {
    throw fileFault('the results cannot be written', file, error)
  }
}

/** The bytes of the file, counted as they go. */
async function* uploaded(file: string, meter: Meter): AsyncGenerator<Buffer> {
  let total: number | null = null
  let done = 0
  try {
    if (file !== '-') total = statSync(file).size
    for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
      done += (chunk as Buffer).length
      meter.show('uploading', done, total, 'bytes')
      yield chunk as Buffer
    }
  } catch (error) {
    throw fileFault('the rows cannot be read', file, error)
  }
}

function formatOf(file: string): RowFormat {
  if (/\.(csv|tsv|tab)$/i.test(file)) return 'csv'
  if (/\.xlsx$/i.test(file)) return 'xlsx'
  if (/\.(xls|ods|numbers)$/i.test(file))
    throw new UsageError(`${file} is of a kind of spreadsheet that is not read`, 'save it as .xlsx or .csv')
  if (/\.(ndjson|jsonl|json|txt)$/i.test(file)) return 'ndjson'
  throw new UsageError(
    `it is not known how the rows of ${file} are written`,
    'say --format ndjson, csv or xlsx',
  )
}

export const columns: readonly Column<RowResult>[] = [
  { heading: 'LINE', cell: result => result.line },
  { heading: 'DEVICE', cell: result => result.deviceId },
  { heading: 'OUTCOME', cell: result => result.outcome },
  { heading: 'REASON', cell: result => result.reason ?? null },
  { heading: 'DETAIL', cell: result => result.detail ?? result.fingerprint ?? null },
]

export async function* pages(results: AsyncIterable<RowResult>): AsyncGenerator<RowResult[]> {
  let page: RowResult[] = []
  for await (const result of results) {
    page.push(result)
    if (page.length < PAGE_ROWS) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

/** A table shows the counts among the other fields. */
function shown({ counts, ...job }: Job, format: Format): Record<string, unknown> {
  return format === 'table' ? { ...job, ...counts } : { ...job, counts }
}

function say(words: string): void {
  process.stderr.write(`${words}\n`)
}
