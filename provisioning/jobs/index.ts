// Import jobs put together: files, record, runner. Routes see verbs, and no file.
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Actor } from '../../db/audit/audit.ts'
import type { ActorKind } from '../../db/audit-chain.ts'
import type { Registry, RegistryWriter } from '../../db/index.ts'
import { prepareImportLookup } from '../../db/jobs/import-lookup.ts'
import { createJobReader, type Job, type JobReader } from '../../db/jobs/job-store.ts'
import { prepareMayImport } from '../../db/jobs/jobs-of-operator.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import { Problem } from '../http/problem.ts'
import type { Log } from '../logging/log.ts'
import type { CsrReader } from '../x509/csr-pool.ts'
import { watchGoneServices } from './gone-services.ts'
import { createChunkImporter } from './import-row.ts'
import { takeUpload, type Understood } from './intake.ts'
import { createJobFiles } from './job-files.ts'
import { jobProblems } from './job-problems.ts'
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
  /** Asked once all of the upload came, which may have taken hours. Throws where the caller may not import any more. */
  assertStillIn(): Promise<void>
}

export type ImportService = {
  /** Takes an upload to its end, then the job waits its turn. Throws a Problem where nothing was kept. */
  take(bytes: AsyncIterable<Buffer>, order: ImportOrder): Promise<{ job: Job; understood: Understood }>
  job(id: string): Job | null
  jobs: JobReader['jobs']
  /** Result lines written so far. Throws `results_elsewhere`. */
  results(job: Job): AsyncGenerator<string>
  cancel(id: string, actor: Actor): Promise<void>
  close(): Promise<void>
}

type ImportServiceOptions = {
  reading: Registry
  writer: RegistryWriter
  authority: RegistrationAuthority
  readCsr: CsrReader['read']
  /** Where services share the registry: each works off what was uploaded to it. */
  sharing: { machine: string; leads(): boolean; goneMs: number } | null
  deviceDays: number
  log: Log
  now: () => number
}

const UNFINISHED_MAX = 10
/** Each has a file open, and its rows in mind. */
const UPLOADS_MAX = 16
const UPLOADS_EACH_MAX = 4

export function createImportService(parts: ImportServiceOptions): ImportService {
  const { writer, log, sharing } = parts
  const jobs = createJobReader(parts.reading)
  const files = createJobFiles(join(dirname(parts.reading.file), 'jobs'))
  const mayImport = prepareMayImport(parts.reading)
  const runner = createJobRunner({
    jobs,
    writer,
    files,
    isElsewhere: id => sharing !== null && !files.has(id),
    importRows: createChunkImporter({
      ...parts,
      lookup: prepareImportLookup(parts.reading),
      onRowFailed: log.rowFailed,
    }),
    now: parts.now,
    mayImport: operator => mayImport(operator, parts.now()),
    onRow: log.rowImported,
    onEnded: log.jobEnded,
    onDelayed: log.jobDelayed,
    onFailed: log.jobFailed,
  })

  const watching =
    sharing === null
      ? null
      : watchGoneServices({
          ...{ jobs, writer, files, ...sharing, onGone: log.jobFailed },
          onFailed: error => log.jobDelayed(null, error),
        })

  const uploads = boundUploads()

  return {
    async take(bytes, { dryRun, actor, actorKind, requestId, assertStillIn, ...reading }) {
      const id = randomUUID()
      uploads.begin(actor)
      let understood: Understood
      try {
        const { rows: rowsTotal, ...taken } = await takeUpload(id, files, bytes, reading)
        understood = taken.understood
        await assertStillIn()
        const service = sharing?.machine ?? null
        await writer.addJob({ id, dryRun, actor, actorKind, requestId, rowsTotal, service }, UNFINISHED_MAX)
      } catch (error) {
        files.remove(id)
        throw error
      } finally {
        uploads.end(actor)
      }
      runner.wake()
      const job = jobs.job(id)
      if (job === null) throw new Error('a job that was added cannot be read back')
      return { job, understood }
    },
    job: jobs.job,
    jobs: jobs.jobs,
    results(job) {
      if (sharing !== null && job.service !== null && !files.has(job.id))
        throw new Problem(
          jobProblems,
          'results_elsewhere',
          `the service on ${job.service} took the upload of this job`,
        )
      return files.readResults(job.id, job.resultsBytes)
    },
    async cancel(id, actor) {
      await writer.cancelJob(id, actor)
    },
    async close() {
      await watching?.stop()
      await runner.close()
    },
  }
}

/** Uploads that are under way, of each operator and of all. */
function boundUploads() {
  const underWay = new Map<string, number>()
  let total = 0
  return {
    /** Throws `jobs_exceeded`. */
    begin(operator: string): void {
      const own = underWay.get(operator) ?? 0
      if (own >= UPLOADS_EACH_MAX)
        throw new Problem(jobProblems, 'jobs_exceeded', `${own} uploads of yours are under way`)
      if (total >= UPLOADS_MAX)
        throw new Problem(jobProblems, 'jobs_exceeded', `${total} uploads are under way`)
      underWay.set(operator, own + 1)
      total += 1
    },
    end(operator: string): void {
      const left = (underWay.get(operator) ?? 1) - 1
      if (left === 0) underWay.delete(operator)
      else underWay.set(operator, left)
      total -= 1
    },
  }
}
