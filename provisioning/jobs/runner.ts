// Runs import jobs, one at a time and chunk by chunk, beside everything else the service does. What is done is noted after
// each chunk: whatever ends the process, the next start goes on there, and rows met again find their work done.
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Job, JobProgress, JobReader, JobWriter } from '../../db/jobs/job-store.ts'
import type { ChunkImporter, ImportRun, Outcome, RowResult } from './import-row.ts'
import type { JudgedRow } from './intake.ts'
import type { JobFiles } from './job-files.ts'
import { createSeenDevices } from './seen-devices.ts'

export type JobRunner = {
  /** There is another job. */
  wake(): void
  /** Ends after the chunks under way; the rest waits for the next start. */
  close(): Promise<void>
}

export type JobRunnerParts = {
  jobs: JobReader
  writer: Pick<JobWriter, 'advanceJob' | 'endJob' | 'forgetJobs'>
  files: JobFiles
  importRows: ChunkImporter
  now: () => number
  onRow(outcome: Outcome, dryRun: boolean): void
  onEnded(job: Job): void
  /** The registry cannot be used now: it is tried again. */
  onDelayed(jobId: string, error: unknown): void
}

const CHUNK_ROWS = 64
/** While one chunk waits for the disk the next has its CSRs read. */
const CHUNKS_AT_ONCE = 2
const RETRY_MS = 2_000
/** A dry run writes nothing that could be lost. */
const DRY_NOTE_MS = 1_000
const KEPT_MS = 7 * 86_400_000
const KEPT_MAX = 50

type Chunk = { results: RowResult[]; end: number }

export function createJobRunner(parts: JobRunnerParts): JobRunner {
  const { jobs, writer, files, importRows, now } = parts
  const stop = new AbortController()
  let running: Promise<void> | null = null
  files.sweep(id => jobs.job(id) !== null)

  async function runAll(): Promise<void> {
    for (let job = jobs.nextJob(); job !== null && !stop.signal.aborted; job = jobs.nextJob()) {
      try {
        await runJob(job)
      } catch (error) {
        if (stop.signal.aborted) return
        await endOrWait(job, error)
      }
    }
    if (!stop.signal.aborted) await forget()
  }

  async function endOrWait(job: Job, error: unknown): Promise<void> {
    try {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        await writer.endJob(job.id, 'failed', 'its rows are gone from the data directory: upload them again')
        return
      }
      parts.onDelayed(job.id, error)
      await setTimeout(RETRY_MS, undefined, { signal: stop.signal })
    } catch {
      // Stopped, or the registry cannot even note it: the loop or the next start tries again.
      await setTimeout(RETRY_MS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  async function runJob(job: Job): Promise<void> {
    const run: ImportRun = {
      actor: { name: job.actor, kind: job.actorKind, requestId: job.requestId },
      dryRun: job.dryRun,
      keys: createSeenDevices(),
      judged: Promise.resolve(),
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
      return jobs.job(job.id)?.state !== 'cancelled' && !stop.signal.aborted
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
        underWay.push(runChunk(chunk, run))
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

  async function runChunk(rows: { judged: JudgedRow; end: number }[], run: ImportRun): Promise<Chunk> {
    const results = await importRows(
      rows.map(({ judged }) => judged),
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

  function wake(): void {
    if (stop.signal.aborted) return
    running ??= runAll().finally(() => {
      running = null
      // One may have been added between the last look and now.
      if (jobs.nextJob() !== null) wake()
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
  let chunk: { judged: JudgedRow; end: number }[] = []
  for await (const { text, end } of rows) {
    chunk.push({ judged: JSON.parse(text) as JudgedRow, end })
    if (chunk.length < CHUNK_ROWS) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
