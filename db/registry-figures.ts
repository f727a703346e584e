// Figures of the registry itself, for monitoring: how far brokers are behind the change feed, what waits to be imported,
// how much room is taken and left. Point look-ups alone, whatever the size of the roll.
import type { Registry } from './open.ts'
import { freeBytes, storeBytes } from './store-size.ts'

export type RegistryFigures = {
  bytes: { main: number; log: number; free: number }
  latestEpoch: number
  brokers: number
  /** Changes that the slowest broker has not acted on yet. */
  unacknowledged: number
  jobs: { waiting: number; running: number }
  /** Rows of jobs that have not ended. */
  rows: { total: number; done: number }
}

type JobSums = { state: 'waiting' | 'running'; jobs: number; total: number; done: number }

export function prepareRegistryFigures({ sqlite, file }: Registry): () => RegistryFigures {
  const latest = sqlite.prepare<[], number>('SELECT coalesce(max(epoch), 0) FROM changes').pluck()
  const nodes = sqlite.prepare<[], { brokers: number; slowest: number | null }>(
    'SELECT count(*) AS brokers, min(acknowledged_epoch) AS slowest FROM nodes',
  )
  const unfinished = sqlite.prepare<[], JobSums>(
    `SELECT state, count(*) AS jobs, sum(rows_total) AS total, sum(rows_done) AS done
     FROM jobs WHERE state IN ('waiting', 'running') GROUP BY state`,
  )
  return () => {
    const { brokers, slowest } = nodes.get()!
    const latestEpoch = latest.get()!
    const sums = unfinished.all()
    const jobs = { waiting: 0, running: 0 }
    for (const { state, jobs: count } of sums) jobs[state] = count
    return {
      bytes: { ...storeBytes(file), free: freeBytes(file) },
      latestEpoch,
      brokers,
      unacknowledged: slowest === null ? 0 : Math.max(0, latestEpoch - slowest),
      jobs,
      rows: {
        total: sums.reduce((sum, { total }) => sum + total, 0),
        done: sums.reduce((sum, { done }) => sum + done, 0),
      },
    }
  }
}
