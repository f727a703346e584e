// Following an import job to its end: a bar on a terminal, a line now and then off it. Outlives a restart of the service.
import { setTimeout } from 'node:timers/promises'
import { createLogUpdate } from 'log-update'
import { ApiUnreachable, type Client, type Job } from '../client/index.ts'

export type Meter = {
  /** `total` is null where nobody knows. */
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
  let reachedAt = performance.now()
  for (;;) {
    try {
      const job = await client.jobs.show(id)
      reachedAt = performance.now()
      if (job.state !== 'waiting' && job.state !== 'running') return job
      meter.show(job.state === 'waiting' ? 'waiting' : 'importing', job.rowsDone, job.rowsTotal, 'rows')
    } catch (error) {
      if (!(error instanceof ApiUnreachable) || performance.now() - reachedAt > UNREACHABLE_MS) throw error
    }
    await setTimeout(POLL_MS)
  }
}
