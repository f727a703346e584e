// The verbs on many devices at once: imports, which become jobs of the service, and exports.
import type { StreamOptions, Transport } from './transport.ts'
import type { DeviceFilter } from './types.ts'

export type ImportOutcome = 'registered' | 'enrolled' | 'listed' | 'changed' | 'unchanged' | 'refused'
export type Job = {
  id: string
  state: 'waiting' | 'running' | 'done' | 'cancelled' | 'failed'
  dryRun: boolean
  createdBy: string
  rowsTotal: number
  rowsDone: number
  counts: Record<ImportOutcome, number>
  error: string | null
  /** Of several services the machine of the one that took the upload. */
  service: string | null
  createdAt: string
  startedAt: string | null
  finishedAt: string | null
}
/** With how the file was understood; `delimiter` and `columns` of a table. `field` is null for a column that stands for none. */
export type NewJob = Job & {
  understood: {
    encoding: 'UTF-8' | 'UTF-16' | 'Windows-1252'
    delimiter: ',' | ';' | '\t' | null
    columns: { column: string; field: string | null }[]
  }
}
/** What became of one row; `certificate` and `chain` are PEM. */
export type RowResult = {
  row: number
  /** Where it stands in the file. */
  line: number
  deviceId: string | null
  outcome: ImportOutcome
  fingerprint?: string
  reason?: string
  detail?: string
  certificate?: string
  chain?: string[]
}
export type ImportOptions = {
  format: 'ndjson' | 'csv'
  /** Judges every row against the record, and changes nothing. */
  dryRun?: boolean
  /** Pins every certificate of a row, whatever its issuer. */
  pin?: boolean
  /** `FIELD=COLUMN`: which column of the file stands for which field. */
  map?: readonly string[]
}
export type ExportOptions = DeviceFilter & {
  format?: 'ndjson' | 'csv'
  /** Only devices that have a certificate of this status. */
  status?: string
  /** Whether JSON lines hold each certificate itself; they do where this is not given. */
  pem?: boolean
}

const types = { ndjson: 'application/x-ndjson', csv: 'text/csv' } as const
const LINE_CHARACTERS_MAX = 1024 * 1024

type Walk = <Item>(path: string, query: Record<string, number | undefined>) => AsyncGenerator<Item[], void>

export function jobVerbs({ call, stream }: Pick<Transport, 'call' | 'stream'>, walk: Walk) {
  const job = (id: string) => `/v1/jobs/${encodeURIComponent(id)}`
  return {
    jobs: {
      /** Uploads rows; the job that works them off is there when this resolves. */
      async add(rows: NonNullable<StreamOptions['body']>, options: ImportOptions): Promise<NewJob> {
        const { format, dryRun = false, pin = false, map = [] } = options
        const query = new URLSearchParams({ dryRun: String(dryRun), pin: String(pin) })
        for (const pair of map) query.append('map', pair)
        const headers = { 'Content-Type': types[format] }
        const answer = await stream('POST', `/v1/jobs?${query}`, { body: rows, headers })
        return JSON.parse(Buffer.concat(await answer.toArray()).toString('utf8')) as NewJob
      },
      show: (id: string) => call<Job>('GET', job(id)),
      /** The newest first. */
      pages: () => walk<Job>('/v1/jobs', {}),
      cancel: (id: string) => call<Job>('POST', `${job(id)}/cancel`),
      /** What became of each row so far, in order. */
      async *results(
        id: string,
        options: { outcome?: ImportOutcome; certificates?: boolean } = {},
      ): AsyncGenerator<RowResult> {
        const { outcome, certificates = true } = options
        const query = new URLSearchParams({ certificates: String(certificates) })
        if (outcome !== undefined) query.set('outcome', outcome)
        for await (const line of linesOf(await stream('GET', `${job(id)}/results?${query}`)))
          yield JSON.parse(line) as RowResult
      },
    },
    /** The roll as of one moment, as the bytes of a file. */
    async export(options: ExportOptions = {}): Promise<AsyncIterable<Buffer>> {
      const query = new URLSearchParams()
      for (const [name, value] of Object.entries(options))
        if (value !== undefined) query.set(name, String(value))
      return stream('GET', `/v1/export?${query}`)
    },
  }
}

async function* linesOf(bytes: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_CHARACTERS_MAX) throw new Error('a line of the answer is too long')
    yield* lines
  }
  if (rest !== '') yield rest
}
