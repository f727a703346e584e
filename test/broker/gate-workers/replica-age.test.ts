// Gates over a replica: each knows how old it is at most, and admits nobody by one that is too old.
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { askReplicaAge } from '../../../broker/gate-workers/replica-age.ts'
import { until } from '../../cli/running.ts'
import { startTestPool } from './test-pool.ts'

test('an answer counts from its question, and while there is none the replica grows older', () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    let now = 1_000
    let asked = 0
    const ask = () => {
      asked += 1
    }
    const age = askReplicaAge({ ask, everyMs: 100, now: () => now })
    assert.equal(age.ageMs(), Number.POSITIVE_INFINITY)
    now = 1_500
    age.answered(20)
    assert.equal(age.ageMs(), 520)
    assert.equal(asked, 1)
    mock.timers.tick(100)
    assert.equal(asked, 2)
    mock.timers.tick(1_000)
    assert.equal(asked, 2, 'one question at a time')
    now = 5_000
    assert.equal(age.ageMs(), 4_020)
    // Asked at 1,500. An older replica than known cannot be.
    age.answered(9_000)
    assert.equal(age.ageMs(), 4_020)
    mock.timers.tick(100)
    age.answered(Number.POSITIVE_INFINITY)
    assert.equal(age.ageMs(), 4_020)
  } finally {
    mock.timers.reset()
  }
})

for (const registryLossMode of ['closed', 'open'] as const)
  test(`a gate admits nobody by a replica that is too old, nor leaves it to the engine, in mode ${registryLossMode}`, async () => {
    let replicaAgeMs = 0
    await using pool = await startTestPool(
      { isolationAdmitMs: 1_000, registryLossMode },
      { replicaAgeMs: () => replicaAgeMs },
    )
    assert.ok(await pool.isHanded())
    assert.deepEqual(pool.refusals, [])
    replicaAgeMs = 1_001
    await until(async () => !(await pool.isHanded()), 'nobody is handed over')
    await until(() => pool.refusals.length > 0, 'a refusal is told')
    assert.deepEqual([...new Set(pool.refusals)], ['registry_unavailable'])
    assert.ok(!(await pool.isHanded()))
    replicaAgeMs = 0
    await until(pool.isHanded, 'the device is handed over again')
  })
