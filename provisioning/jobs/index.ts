// Import jobs put together: files, record, runner. Routes see verbs, and no file.
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Actor } from '../../db/audit/audit.ts'
import type { ActorKind } from '../../db/audit-chain.ts'
import type { Registry, RegistryWriter } from '../../db/index.ts'
import { prepareImportLookup } from '../../db/jobs/import-lookup.ts'
import { createJobReader, type Job, type JobReader } from '../../db/jobs/job-store.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import type { Log } from '../logging/log.ts'
import type { CsrReader } from '../x509/csr-pool.ts'
import { createChunkImporter } from './import-row.ts'
import { takeUpload, type Understood } from './intake.ts'
import { createJobFiles } from './job-files.ts'
import type { UploadFormat } from './records.ts'
import type { Mapping } from './row.ts'
import { createJobRunner } from './runner.ts'

type ImportOrder = {
  format: UploadFormat
  mapping: Mapping
  /** Whether certificates are pinned whatever their rows say. */
  pin: boolean
  dryRun: boolean
  actor: string
  actorKind: ActorKind
  requestId: string
}

export type ImportService = {
  /** Takes an upload to its end, then the job waits its turn. Throws a Problem where nothing was kept. */
  take(bytes: AsyncIterable<Buffer>, order: ImportOrder): Promise<{ job: Job; understood: Understood }>
  job(id: string): Job | null
  jobs: JobReader['jobs']
  /** Result lines written so far. */
  results(job: Job): AsyncGenerator<string>
  cancel(id: string, actor: Actor): Promise<void>
  close(): Promise<void>
}

type ImportServiceOptions = {
  reading: Registry
  writer: RegistryWriter
  authority: RegistrationAuthority
  readCsr: CsrReader['read']
  deviceDays: number
  log: Log
  now: () => number
}

const UNFINISHED_MAX = 10

export function createImportService(parts: ImportServiceOptions): ImportService {
  const { writer, log } = parts
  const jobs = createJobReader(parts.reading)
  const files = createJobFiles(join(dirname(parts.reading.file), 'jobs'))
  const runner = createJobRunner({
    jobs,
    writer,
    files,
    importRows: createChunkImporter({
      ...parts,
      lookup: prepareImportLookup(parts.reading),
      onRowFailed: log.rowFailed,
    }),
    now: parts.now,
    onRow: log.rowImported,
    onEnded: log.jobEnded,
    onDelayed: log.jobDelayed,
    onFailed: log.jobFailed,
  })

  return {
    async take(bytes, { dryRun, actor, actorKind, requestId, ...reading }) {
      const id = randomUUID()
      let understood: Understood
      try {
        const { rows: rowsTotal, ...taken } = await takeUpload(id, files, bytes, reading)
        understood = taken.understood
        await writer.addJob({ id, dryRun, actor, actorKind, requestId, rowsTotal }, UNFINISHED_MAX)
      } catch (error) {
        files.remove(id)
        throw error
      }
      runner.wake()
      const job = jobs.job(id)
      if (job === null) throw new Error('a job that was added cannot be read back')
      return { job, understood }
    },
    job: jobs.job,
    jobs: jobs.jobs,
    results: job => files.readResults(job.id, job.resultsBytes),
    async cancel(id, actor) {
      await writer.cancelJob(id, actor)
    },
    close: runner.close,
  }
}
