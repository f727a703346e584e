// Following an import job to its end: a bar on a terminal, a line now and then off it. Outlives a restart of the service.
import { setTimeout } from 'node:timers/promises'
import { createLogUpdate } from 'log-update'
import { ApiUnreachable, type Client, type Job } from '../../client/index.ts'

export type Meter = {
  /** `total` is null if it is not known. */
  show(what: string, done: number, total: number | null, unit: string): void
  clear(): void
}

const TERMINAL_MS = 150
const PLAIN_MS = 5_000
const BAR_CELLS = 30
const POLL_MS = 300
/** A service that restarts is back by then. */
const UNREACHABLE_MS = 60_000

export function createMeter(stream: NodeJS.WriteStream = process.stderr): Meter {
  const draw = stream.isTTY === true && stream.rows > 3 ? createLogUpdate(stream) : null
  // What takes no time needs no line.
  let shownAt = draw === null ? performance.now() : Number.NEGATIVE_INFINITY
  return {
    show(what, done, total, unit) {
      if (performance.now() - shownAt < (draw === null ? PLAIN_MS : TERMINAL_MS)) return
      shownAt = performance.now()
      const count = `${done.toLocaleString('en')}${total === null ? '' : `/${total.toLocaleString('en')}`} ${unit}`
      if (draw === null) stream.write(`${what}: ${count}\n`)
      else draw(`${what} ${total === null ? '' : `${bar(done / Math.max(1, total))} `}${count}`)
    },
    clear() {
      draw?.clear()
      draw?.done()
    },
  }
}

function bar(fraction: number): string {
  const full = Math.round(Math.min(1, fraction) * BAR_CELLS)
  return '━'.repeat(full) + '╌'.repeat(BAR_CELLS - full)
}

/** Resolves with the job once it has ended. */
export async function watchJob(client: Client, id: string, meter: Meter): Promise<Job> {
  for (;;) {
    const job = await retryAcrossRestarts(() => client.jobs.show(id))
    if (job.state !== 'waiting' && job.state !== 'running') return job
    meter.show(job.state === 'waiting' ? 'waiting' : 'importing', job.rowsDone, job.rowsTotal, 'rows')
    await setTimeout(POLL_MS)
  }
}

/** Asks again, from the beginning, while the service cannot be reached. What asks must be able to. */
export async function retryAcrossRestarts<T>(ask: () => Promise<T>): Promise<T> {
  const end = performance.now() + UNREACHABLE_MS
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isCutOff(error) || performance.now() > end) throw error
    }
    await setTimeout(POLL_MS)
  }
}

/** No answer came, or it ended before its end. */
function isCutOff(error: unknown): boolean {
  return error instanceof ApiUnreachable || (error as NodeJS.ErrnoException).code === 'ECONNRESET'
}
