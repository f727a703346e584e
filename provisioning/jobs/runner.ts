// Runs import jobs, one at a time and chunk by chunk, beside everything else the service does. What is done is noted after
// each chunk: whatever ends the process, the next start goes on there, and rows met again find their work done.
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { ActorKind } from '../../db/audit-chain.ts'
import type { Job, JobProgress, JobReader, JobWriter } from '../../db/jobs/job-store.ts'
import { isRegistryUnavailable } from '../../db/registry-error.ts'
import type { ChunkImporter, ImportRun, Outcome, RowResult } from './import-row.ts'
import type { ValidatedRow } from './intake.ts'
import type { JobFiles } from './job-files.ts'
import { createSeenDevices } from './seen-devices.ts'

export type JobRunner = {
  /** There is another job. */
  wake(): void
  /** Ends after the chunks under way; the rest waits for the next start. */
  close(): Promise<void>
}

type JobRunnerParts = {
  jobs: JobReader
  writer: Pick<JobWriter, 'beginJob' | 'leaveJob' | 'advanceJob' | 'endJob' | 'forgetJobs'>
  files: JobFiles
  /** Whether a job is another service's, which took its upload. */
  isElsewhere?(id: string): boolean
  importRows: ChunkImporter
  now: () => number
  /** Whether the operator that asked for a job could still ask for it. */
  mayImport(operator: { name: string; kind: ActorKind }): boolean
  onRow(outcome: Outcome, dryRun: boolean): void
  onEnded(job: Job): void
  /** It could not go on now, and is tried again. Null where the next job cannot even be found. */
  onDelayed(jobId: string | null, error: unknown): void
  /** It could not go on as often as it is tried, and has ended. */
  onFailed(jobId: string, error: unknown): void
  retryMs?: number
}

const CHUNK_ROWS = 64
/** While one chunk waits for the disk the next has its CSRs read. */
const CHUNKS_AT_ONCE = 2
const RETRY_MS = 2_000
/** How often a job is tried that gets nowhere, before the next one has its turn. An outage of the registry does not count. */
const ATTEMPTS_MAX = 10
/** How often a process may end while it works at the same rows: then they are what ends it, and no start would be the last. */
const INTERRUPTIONS_MAX = 5
/** A dry run writes nothing that could be lost. */
const DRY_NOTE_MS = 1_000
const KEPT_MS = 7 * 86_400_000
const KEPT_MAX = 50

type Chunk = { results: RowResult[]; end: number }

export function createJobRunner(parts: JobRunnerParts): JobRunner {
  const { jobs, writer, files, importRows, now } = parts
  const stop = new AbortController()
  const retryMs = parts.retryMs ?? RETRY_MS
  let running: Promise<void> | null = null
  let awake = false
  /** How often the job of this ID failed at this row. */
  let stuck = { id: '', rowsDone: 0, attempts: 0 }
  files.removeUnknown(id => jobs.job(id) !== null)

  /** Ends when no job waits, or when it is stopped. Never throws. */
  async function runAll(): Promise<void> {
    while (!stop.signal.aborted) {
      let job: Job | null = null
      try {
        job = jobs.nextJob(id => parts.isElsewhere?.(id) !== true)
        if (job === null) return await forget()
        if (await isDeadly(job)) continue
        if (await isAbandoned(job)) continue
        try {
          await runJob(job)
        } finally {
          await writer.leaveJob(job.id)
        }
      } catch (error) {
        if (!stop.signal.aborted) await endOrWait(job, error)
      }
    }
  }

  async function endOrWait(job: Job | null, error: unknown): Promise<void> {
    try {
      if (job !== null && (error as NodeJS.ErrnoException).code === 'ENOENT')
        return await fail(job, error, 'its rows are gone from the data directory: upload them again')
      if (job !== null && isStuck(job, error))
        return await fail(job, error, `it cannot go on at row ${job.rowsDone + 1}: the log says why`)
      parts.onDelayed(job?.id ?? null, error)
      await setTimeout(retryMs, undefined, { signal: stop.signal })
    } catch {
      // Stopped, or the registry cannot even note it: the loop or the next start tries again.
      await setTimeout(retryMs, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  async function fail(job: Job, error: unknown, why: string): Promise<void> {
    await writer.endJob(job.id, 'failed', why)
    parts.onFailed(job.id, error)
  }

  /** Whether the process ended at these rows as often as it may: the job has failed then. */
  async function isDeadly(job: Job): Promise<boolean> {
    const interruptions = await writer.beginJob(job.id)
    if (interruptions < INTERRUPTIONS_MAX) return false
    const last = Math.min(job.rowsTotal, job.rowsDone + CHUNKS_AT_ONCE * CHUNK_ROWS)
    const why = `the service ended ${interruptions} times while it worked at rows ${job.rowsDone + 1} to ${last}: upload the others without them`
    await fail(job, new Error(why), why)
    return true
  }

  /** Whether the operator that asked for it may not import any more, by revocation or by time: the job has failed then. */
  async function isAbandoned(job: Job): Promise<boolean> {
    if (parts.mayImport({ name: job.actor, kind: job.actorKind })) return false
    const why = `the credential of ${job.actor} has ended: what was done before stays, upload the file again for the rest`
    await fail(job, new Error(why), why)
    return true
  }

  /** Whether it failed here as often as it is tried. While the registry is out, no other job could go on either. */
  function isStuck({ id }: Job, error: unknown): boolean {
    if (isRegistryUnavailable(error)) return false
    const rowsDone = jobs.job(id)?.rowsDone ?? 0
    const same = stuck.id === id && stuck.rowsDone === rowsDone
    stuck = { id, rowsDone, attempts: same ? stuck.attempts + 1 : 1 }
    return stuck.attempts >= ATTEMPTS_MAX
  }

  async function runJob(job: Job): Promise<void> {
    const run: ImportRun = {
      actor: { name: job.actor, kind: job.actorKind, requestId: job.requestId },
      dryRun: job.dryRun,
      keys: createSeenDevices(),
      validated: Promise.resolve(),
    }
    const progress: JobProgress = { ...job, counts: { ...job.counts } }
    const results = await files.writeResults(job.id, job.resultsBytes)
    const underWay: Promise<Chunk>[] = []
    let notedAt = performance.now()

    async function settle(): Promise<boolean> {
      const { results: done, end } = await underWay.shift()!
      const text = done.map(result => `${JSON.stringify(result)}\n`).join('')
      await results.write(text)
      for (const { outcome } of done) {
        progress.counts[outcome] = (progress.counts[outcome] ?? 0) + 1
        parts.onRow(outcome, job.dryRun)
      }
      progress.rowsDone += done.length
      progress.rowsOffset = end
      progress.resultsBytes += Buffer.byteLength(text)
      if (!job.dryRun || performance.now() - notedAt > DRY_NOTE_MS) await note()
      return jobs.job(job.id)?.state === 'running' && !stop.signal.aborted && !(await isAbandoned(job))
    }

    async function note(): Promise<void> {
      if (!job.dryRun) await results.sync()
      await writer.advanceJob(job.id, progress)
      notedAt = performance.now()
    }

    try {
      await writer.advanceJob(job.id, progress)
      let goesOn = true
      for await (const chunk of chunksOf(files.readRows(job.id, job.rowsOffset))) {
        const chunkUnderWay = runChunk(chunk, run)
        // It may fail while the next one is being read; it is heard when its turn comes.
        chunkUnderWay.catch(() => {})
        underWay.push(chunkUnderWay)
        if (underWay.length >= CHUNKS_AT_ONCE) goesOn = await settle()
        if (!goesOn) break
        await setImmediate()
      }
      while (underWay.length > 0) goesOn = (await settle()) && goesOn
      await note()
      if (!goesOn) return
      await writer.endJob(job.id, 'done')
      parts.onEnded({ ...job, ...progress, state: 'done' })
    } finally {
      // What is under way when another chunk fails must not fail unheard.
      await Promise.allSettled(underWay)
      await results.close()
    }
  }

  async function runChunk(rows: { validated: ValidatedRow; end: number }[], run: ImportRun): Promise<Chunk> {
    const results = await importRows(
      rows.map(({ validated }) => validated),
      run,
    )
    return { results, end: rows.at(-1)?.end ?? 0 }
  }

  async function forget(): Promise<void> {
    try {
      for (const id of await writer.forgetJobs(now() - KEPT_MS, KEPT_MAX)) files.remove(id)
    } catch {
      // There is no hurry: the next job or the next start does it.
    }
  }

  /** One may be added between the last look and the end of it. */
  async function runWhileAwake(): Promise<void> {
    while (awake && !stop.signal.aborted) {
      awake = false
      await runAll()
    }
  }

  function wake(): void {
    if (stop.signal.aborted) return
    awake = true
    running ??= runWhileAwake().finally(() => {
      running = null
    })
  }

  wake()
  return {
    wake,
    async close() {
      stop.abort()
      await running
    },
  }
}

async function* chunksOf(rows: AsyncIterable<{ text: string; end: number }>) {
  let chunk: { validated: ValidatedRow; end: number }[] = []
  for await (const { text, end } of rows) {
    chunk.push({ validated: JSON.parse(text) as ValidatedRow, end })
    if (chunk.length < CHUNK_ROWS) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
