// Counting the roll in steps comes to what counting it at once does, and no step walks far.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fillRoll } from '../../bench/large-roll.ts'
import { prepareRollCount } from '../../db/roll/roll-count.ts'
import { createRoll } from '../harness/roll.ts'

test('a roll of many steps is counted whole, and an empty one as nothing', async () => {
  const roll = await createRoll()
  const { sqlite } = roll.registry
  const count = prepareRollCount(sqlite)
  const whole = () => {
    let steps = 0
    for (const counting = count(); ; steps += 1) {
      const step = counting.next()
      if (step.done) return { counted: step.value, steps }
    }
  }
  assert.ok(Object.values(whole().counted.devices).every(devices => devices === 0))
  for (const rows of [2_000, 4_001]) {
    await fillRoll(roll.registry, roll.issuerId, rows)
    const { counted, steps } = whole()
    const byState = sqlite.prepare('SELECT state, count(*) FROM devices GROUP BY state').raw().all()
    const byStatus = sqlite.prepare('SELECT status, count(*) FROM certificates GROUP BY status').raw().all()
    const found = (counts: Record<string, number>) =>
      Object.entries(counts)
        .filter(([, count]) => count > 0)
        .sort()
    assert.deepEqual(found(counted.devices), byState)
    assert.deepEqual(found(counted.certificates), byStatus)
    assert.ok(steps > rows / 2_000)
    for (const table of ['deadlines', 'public_keys', 'certificates', 'device_groups', 'devices'])
      sqlite.exec(`DELETE FROM ${table}`)
  }
  await roll.close()
})
