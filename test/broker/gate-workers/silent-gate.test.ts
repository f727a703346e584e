// A gate that hangs is noticed, killed and started again; one that a stopped broker has not heard is left alone.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { watchSilence } from '../../../broker/gate-workers/silence.ts'
import { until } from '../../cli/running.ts'
import { startTestPool } from './test-pool.ts'

test('silence is told after so many looks in a row, and any word begins anew', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    let told = 0
    const silence = watchSilence({ everyMs: 100, looks: 3 }, () => {
      told += 1
    })
    mock.timers.tick(300)
    silence.heard()
    mock.timers.tick(300)
    assert.equal(told, 0)
    mock.timers.tick(100)
    assert.equal(told, 1)
    silence.stop()
    mock.timers.tick(1_000)
    assert.equal(told, 1)
  } finally {
    mock.timers.reset()
  }
})

test('a gate that hangs is killed, and another takes its place', async () => {
  // It asks for the age of the replica ten times a second: by that it is heard.
  await using pool = await startTestPool(
    { isolationAdmitMs: 1_000 },
    { replicaAgeMs: () => 0, silence: { everyMs: 500, looks: 6 } },
  )
  assert.ok(await pool.isHanded())
  const [hung] = pool.pids()
  process.kill(hung!, 'SIGSTOP')
  await until(() => pool.deaths.length > 0, 'it is given up')
  assert.equal(pool.deaths[0], 'it hung and was killed')
  await until(pool.isHanded, 'the device is handed over by another one')
  assert.ok(!pool.pids().includes(hung!))
})
