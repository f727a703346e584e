// Where several services share the registry, an import is worked off by the one that has its rows. Each says now and then that it is still
// there; the holder of the lease ends the imports of one that says nothing any more, so that nobody waits for ever.
import type { Job, JobReader, JobWriter } from '../../db/jobs/job-store.ts'
import type { JobFiles } from './job-files.ts'

export type GoneServicesOptions = {
  jobs: Pick<JobReader, 'unfinished'>
  writer: Pick<JobWriter, 'serveJobs' | 'endJob'>
  files: Pick<JobFiles, 'has'>
  /** Whether this service is the one that ends what others left. */
  leads(): boolean
  /** For how long a service may say nothing. */
  goneMs: number
  onGone(jobId: string, error: Error): void
  onFailed(error: unknown): void
}

const TIMES_SAID = 10

/** What a service said last of a job, and since when it has said nothing else, by `performance.now()`: clocks may be apart. */
type Heard = { servedAt: number; since: number }

export function watchGoneServices(options: GoneServicesOptions): { stop(): Promise<void> } {
  const { jobs, writer, files, goneMs } = options
  let heard = new Map<string, Heard>()
  let running: Promise<void> | null = null

  async function look(): Promise<void> {
    const unfinished = jobs.unfinished()
    const own = unfinished.filter(({ id }) => files.has(id))
    if (own.length > 0) await writer.serveJobs(own.map(({ id }) => id))
    const others = unfinished.filter(job => job.servedAt !== null && !own.includes(job))
    const now = performance.now()
    heard = new Map(others.map(job => [job.id, heardOf(job, now)]))
    if (!options.leads()) return
    for (const job of others) if (now - heard.get(job.id)!.since > goneMs) await end(job)
  }

  function heardOf({ id, servedAt }: Job, now: number): Heard {
    const before = heard.get(id)
    return before?.servedAt === servedAt ? before : { servedAt: servedAt ?? 0, since: now }
  }

  async function end({ id, service, servedAt }: Job): Promise<void> {
    const last = new Date(servedAt ?? 0).toISOString()
    const why = `the service on ${service} that has its rows was last heard at ${last}: what was done stays; upload the file again, to any service, for the rest`
    await writer.endJob(id, 'failed', why)
    options.onGone(id, new Error(why))
  }

  const timer = setInterval(
    () => {
      running ??= look()
        .catch(options.onFailed)
        .finally(() => {
          running = null
        })
    },
    Math.ceil(goneMs / TIMES_SAID),
  )
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
