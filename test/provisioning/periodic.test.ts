// Work that repeats: one run at a time, at the interval and on request, and none after the stop.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { periodic } from '../../provisioning/periodic.ts'

test('runs at the interval where it is due, one run at a time, and waits for the last run when it stops', async t => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const runs: PromiseWithResolvers<void>[] = []
  let due = true
  const loop = periodic(
    () => {
      const run = Promise.withResolvers<void>()
      runs.push(run)
      return run.promise
    },
    1_000,
    () => due,
  )
  t.mock.timers.tick(999)
  assert.equal(runs.length, 0)
  t.mock.timers.tick(1)
  assert.equal(runs.length, 1)
  const joined = [loop.look(), loop.look()]
  t.mock.timers.tick(5_000)
  assert.equal(runs.length, 1, 'a run is under way')
  runs[0]!.resolve()
  assert.equal(await waits(joined[0]!), true, 'that run may not have seen what its caller did')
  assert.equal(runs.length, 2, 'one for both')
  runs[1]!.resolve()
  await Promise.all(joined)
  due = false
  t.mock.timers.tick(1_000)
  assert.equal(runs.length, 2, 'nothing is due')
  const asked = loop.look()
  assert.equal(runs.length, 3, 'a caller need not wait until it is due')
  const late = loop.look()
  const stopped = loop.stop()
  assert.equal(await waits(stopped), true)
  runs[2]!.resolve()
  await Promise.all([asked, late, stopped])
  due = true
  t.mock.timers.tick(10_000)
  assert.equal(runs.length, 3)
})

function waits(work: Promise<void>): Promise<boolean> {
  return Promise.race([work.then(() => false), new Promise<boolean>(resolve => setImmediate(resolve, true))])
}
