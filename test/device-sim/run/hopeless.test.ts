// Where nobody gets in, a run says why and stops early.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { summaryText } from '../../../device-sim/output/summary-text.ts'
import { createCounts } from '../../../device-sim/results/tick.ts'
import { createFailFast } from '../../../device-sim/run/fail-fast.ts'
import type { GroupPlan } from '../../../device-sim/scenario/plan.ts'
import { runText } from '../fakes/run.ts'

const scenario = `
name: hopeless
groups: [{ name: fleet, count: 300, reconnect: { first: 100ms, most: 100ms } }]
stages: [{ kind: ramp, rate: 1000 }, { kind: steady, for: 10m }]
thresholds: ['connected = 100%']
`

describe('a run in which nobody gets in', () => {
  it('stops after as many attempts as failed, and names the cause', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    server.close()
    await once(server, 'close')
    const { summary } = await runText(scenario, { broker: `mqtt://127.0.0.1:${port}` })
    assert.equal(summary.interrupted, false)
    assert.equal(summary.verdict.exitCode, 1)
    const stopped = summary.verdict.breaches.find(breach => breach.startsWith('stopped early'))
    assert.match(stopped ?? '', /none of \d+ attempts got in: \d+ × unreachable_econnrefused$/)
    assert.ok(
      summary.verdict.breaches.some(breach =>
        /nobody reached the broker \(\d+ × unreachable_econnrefused\)/.test(breach),
      ),
    )
    assert.match(summaryText(summary, process.stdout), /failed +\d+ × unreachable_econnrefused/)
  })

  const plan = (...expect: GroupPlan['expect'][]) => ({
    groups: expect.map(one => ({ expect: one }) as GroupPlan),
  })
  const counted = (admitted: number, failed: number, refused: number) => {
    const counts = createCounts(1)
    Object.assign(counts.groups[0]?.connects ?? {}, { admitted, failed, refused })
    return counts
  }
  for (const [what, counts, after, expect, stops] of [
    ['just enough', counted(0, 6, 4), 10, 'admitted', true],
    ['one less', counted(0, 6, 3), 10, 'admitted', false],
    ['one that got in', counted(1, 600, 300), 10, 'admitted', false],
    ['those that should not get in', counted(0, 600, 300), 10, 'refused', false],
    ['no limit', counted(0, 600, 300), 0, 'admitted', false],
  ] as const) {
    it(`${stops ? 'stops' : 'goes on'} with ${what}`, () => {
      const look = createFailFast(plan(expect), after)
      assert.equal(look(counts) !== null, stops)
      assert.equal(look(counts), null, 'it says so once')
    })
  }
})
