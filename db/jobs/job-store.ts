// Import jobs on record: added once their rows are on disk, advanced chunk by chunk, ended. Knows no row of any job.
import type { Selectable } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import type { ActorKind } from '../audit-chain.ts'
import type { Registry } from '../open.ts'
import type { Page } from '../page.ts'
import type { JobState, Schema } from '../schema.ts'
import { insert, rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'

/** Rows by outcome. */
type JobCounts = Record<string, number>
export type Job = {
  id: string
  state: JobState
  dryRun: boolean
  actor: string
  actorKind: ActorKind
  requestId: string
  rowsTotal: number
  rowsDone: number
  rowsOffset: number
  resultsBytes: number
  counts: JobCounts
  error: string | null
  /** Of several services the machine of the one that has its rows, and when it last said that it is there. */
  service: string | null
  servedAt: number | null
  createdAt: number
  startedAt: number | null
  finishedAt: number | null
}
type NewJob = Pick<Job, 'id' | 'dryRun' | 'actor' | 'actorKind' | 'requestId' | 'rowsTotal' | 'service'>
export type JobProgress = Pick<Job, 'rowsDone' | 'rowsOffset' | 'resultsBytes' | 'counts'>

export type JobWriter = {
  /** Throws `jobs_exceeded` where as many as `unfinishedMax` have not ended. */
  addJob(job: NewJob, unfinishedMax: number): Promise<void>
  /** A process begins to work at it. Gives how often one did before at the same row, and ended without leaving it. */
  beginJob(id: string): Promise<number>
  /** The process goes on without it, in order: that it was begun counts no more. */
  leaveJob(id: string): Promise<void>
  /** Notes how far a job is. */
  advanceJob(id: string, progress: JobProgress): Promise<void>
  /** The service that has the rows of these jobs is there. */
  serveJobs(ids: readonly string[]): Promise<void>
  /** Says that it is done or cannot go on. */
  endJob(id: string, state: 'done' | 'failed', error?: string): Promise<void>
  /** Throws `job_unknown`, or `job_finished` where nothing is left to cancel. */
  cancelJob(id: string, actor: Actor): Promise<void>
  /** Takes jobs that ended before this time off the record, the oldest first, and gives their IDs. */
  forgetJobs(endedBefore: number, keptMax: number): Promise<string[]>
}

export type JobReader = {
  job(id: string): Job | null
  /** The newest first. */
  /** Newest first, from after the one of this key on. A key is "time ID". */
  jobs(after: string | null, limit: number): Page<Job>
  /** Those that have not ended. */
  unfinished(): Job[]
  /** The one that runs or was running, else the one that has waited longest. */
  nextJob(isHere?: (id: string) => boolean): Job | null
}

export function createJobWriter(registry: Registry, now: () => number): JobWriter {
  return {
    addJob: ({ id, dryRun, actor, actorKind, requestId, rowsTotal, service }, unfinishedMax) =>
      transact(registry, async transaction => {
        const [count] = await rowsOf<{ unfinished: number }>(
          transaction,
          `SELECT count(*) AS unfinished FROM jobs WHERE state IN ('waiting', 'running')`,
        )
        if ((count?.unfinished ?? 0) >= unfinishedMax) {
          throw new Conflict('jobs_exceeded', `${unfinishedMax} jobs have not ended yet`)
        }
        await insert(transaction, 'jobs', {
          id,
          state: 'waiting',
          dry_run: dryRun ? 1 : 0,
          actor,
          actor_kind: actorKind,
          request_id: requestId,
          rows_total: rowsTotal,
          service,
          served_at: service === null ? null : now(),
          created_at: now(),
        })
        const detail = { dryRun, rows: rowsTotal }
        await appendAudit(transaction, {
          at: now(),
          actor: { name: actor, kind: actorKind, requestId },
          action: 'job.add',
          target: id,
          detail,
        })
      }),

    beginJob: id =>
      transact(registry, async transaction => {
        const [begun] = await rowsOf<{ interruptions: number }>(
          transaction,
          'UPDATE jobs SET interruptions = interruptions + 1 WHERE id = ? RETURNING interruptions',
          id,
        )
        return (begun?.interruptions ?? 1) - 1
      }),

    leaveJob: id =>
      transact(registry, async transaction => {
        await run(transaction, 'UPDATE jobs SET interruptions = 0 WHERE id = ?', id)
      }),

    advanceJob: (id, { rowsDone, rowsOffset, resultsBytes, counts }) =>
      transact(registry, async transaction => {
        await run(
          transaction,
          `UPDATE jobs SET interruptions = iif(rows_done < ?, 1, interruptions), rows_done = ?, rows_offset = ?, results_bytes = ?, counts = ?,
             started_at = coalesce(started_at, ?), state = iif(state = 'waiting', 'running', state) WHERE id = ?`,
          rowsDone,
          rowsDone,
          rowsOffset,
          resultsBytes,
          JSON.stringify(counts),
          now(),
          id,
        )
      }),

    serveJobs: ids =>
      transact(registry, async transaction => {
        const served = `UPDATE jobs SET served_at = ? WHERE state IN ('waiting', 'running') AND served_at IS NOT NULL
          AND id IN (SELECT value FROM json_each(?))`
        await run(transaction, served, now(), JSON.stringify(ids))
      }),

    endJob: (id, state, error) =>
      transact(registry, async transaction => {
        const ended = await run(
          transaction,
          `UPDATE jobs SET state = ?, error = ?, finished_at = ? WHERE id = ? AND state IN ('waiting', 'running')`,
          state,
          error ?? null,
          now(),
          id,
        )
        if (ended === 1) await appendEnd(transaction, id, state)
      }),

    cancelJob: (id, actor) =>
      transact(registry, async transaction => {
        const [job] = await rowsOf<{ state: JobState }>(
          transaction,
          'SELECT state FROM jobs WHERE id = ?',
          id,
        )
        if (job === undefined) throw new Conflict('job_unknown', `there is no job ${id}`)
        if (job.state === 'cancelled') return
        if (job.state !== 'waiting' && job.state !== 'running') {
          throw new Conflict('job_finished', `job ${id} is ${job.state}`)
        }
        await run(transaction, `UPDATE jobs SET state = 'cancelled', finished_at = ? WHERE id = ?`, now(), id)
        await appendAudit(transaction, { at: now(), actor, action: 'job.cancel', target: id })
      }),

    forgetJobs: (endedBefore, keptMax) =>
      transact(registry, async transaction => {
        const old = await rowsOf<{ id: string }>(
          transaction,
          `DELETE FROM jobs WHERE finished_at < ? OR id IN
             (SELECT id FROM jobs WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT -1 OFFSET ?)
           RETURNING id`,
          endedBefore,
          keptMax,
        )
        return old.map(job => job.id)
      }),
  }

  async function appendEnd(
    transaction: Parameters<typeof appendAudit>[0],
    id: string,
    state: 'done' | 'failed',
  ): Promise<void> {
    const [job] = await rowsOf<{ actor: string; actor_kind: ActorKind; request_id: string; counts: string }>(
      transaction,
      'SELECT actor, actor_kind, request_id, counts FROM jobs WHERE id = ?',
      id,
    )
    if (job === undefined) return
    await appendAudit(transaction, {
      at: now(),
      actor: { name: job.actor, kind: job.actor_kind, requestId: job.request_id },
      action: state === 'done' ? 'job.finish' : 'job.fail',
      target: id,
      detail: JSON.parse(job.counts),
    })
  }
}

type JobRow = Selectable<Schema['jobs']>

export function createJobReader({ sqlite }: Registry): JobReader {
  const one = sqlite.prepare<[string], JobRow>('SELECT * FROM jobs WHERE id = ?')
  const newest = sqlite.prepare<[number, string, number], JobRow>(
    'SELECT * FROM jobs WHERE (-created_at, id) > (?, ?) ORDER BY -created_at, id LIMIT ?',
  )
  const next = sqlite.prepare<[], JobRow>(
    `SELECT * FROM jobs WHERE state IN ('waiting', 'running') ORDER BY state, created_at, id`,
  )
  const shown = (row: JobRow | undefined) => (row === undefined ? null : jobOf(row))
  return {
    job: id => shown(one.get(id)),
    jobs(after, limit) {
      const [at = `${Number.MAX_SAFE_INTEGER}`, id = ''] = after?.split(' ') ?? []
      const rows = newest.all(-Number(at), id, limit + 1).map(jobOf)
      const items = rows.slice(0, limit)
      const last = rows.length > limit ? items.at(-1)! : null
      return { items, next: last && `${last.createdAt} ${last.id}` }
    },
    unfinished: () => next.all().map(jobOf),
    nextJob(isHere = () => true) {
      for (const row of next.all()) if (isHere(row.id)) return jobOf(row)
      return null
    },
  }
}

function jobOf(row: JobRow): Job {
  return {
    id: row.id,
    state: row.state,
    dryRun: row.dry_run === 1,
    actor: row.actor,
    actorKind: row.actor_kind,
    requestId: row.request_id,
    rowsTotal: row.rows_total,
    rowsDone: row.rows_done,
    rowsOffset: row.rows_offset,
    resultsBytes: row.results_bytes,
    counts: JSON.parse(row.counts),
    error: row.error,
    service: row.service,
    servedAt: row.served_at,
    createdAt: row.created_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  }
}
