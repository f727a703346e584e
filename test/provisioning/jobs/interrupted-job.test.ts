// A job whose rows end the process: it is tried a bounded number of times over restarts, and the jobs behind it have their turn.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createJobReader } from '../../../db/jobs/job-store.ts'
import type { ChunkImporter } from '../../../provisioning/jobs/import-row.ts'
import { createJobFiles } from '../../../provisioning/jobs/job-files.ts'
import { createJobRunner, type JobRunner } from '../../../provisioning/jobs/runner.ts'
import { createRoll } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const actor = { actor: 'ann', actorKind: 'token', requestId: 'r', dryRun: false, service: null } as const

test('rows that end the process are given up after five ends, and only at rows where none gets on', async t => {
  const roll = await createRoll()
  const ended = Promise.withResolvers<void>()
  const runners: JobRunner[] = []
  t.after(async () => {
    const closed = runners.map(runner => runner.close())
    ended.resolve()
    await Promise.all(closed)
    await roll.close()
  })
  const { writer } = roll
  const jobs = createJobReader(roll.registry)
  const files = createJobFiles(join(roll.data, 'jobs'))
  const add = async (id: string, rows: number) => {
    files.make(id)
    const writing = await files.writeRows(id)
    await writing.write('{}\n'.repeat(rows))
    await writing.close()
    await writer.addJob({ ...actor, id, rowsTotal: rows }, 10)
  }
  await add('deadly', 300)
  await add('behind', 1)

  /** A process that does so many chunks and then ends, as far as the record can tell: nothing of it is heard any more. */
  function start(chunks: number): { entered: () => number } {
    let done = 0
    const importRows: ChunkImporter = async rows => {
      done += 1
      if (done > chunks) await ended.promise
      return rows.map(() => ({ outcome: 'registered' }) as never)
    }
    const told = { mayImport: () => true, onRow() {}, onEnded() {}, onDelayed() {}, onFailed() {} }
    runners.push(createJobRunner({ jobs, writer, files, importRows, now: Date.now, ...told }))
    return { entered: () => done }
  }

  for (let round = 0; round < 4; round += 1) {
    const process = start(0)
    await until(() => process.entered() > 0)
  }
  // One that gets on begins the count anew.
  const before = jobs.job('deadly')!.rowsDone
  start(1)
  await until(() => jobs.job('deadly')!.rowsDone > before)
  for (let round = 0; round < 4; round += 1) {
    const process = start(0)
    await until(() => process.entered() > 0)
    assert.equal(jobs.job('deadly')!.state, 'running', `${round}`)
  }
  start(1)
  await until(() => jobs.job('behind')!.state === 'done')
  const { state, error } = jobs.job('deadly')!
  assert.equal(state, 'failed')
  assert.match(error ?? '', /ended 5 times while it worked at rows 65 to 192/)
})
