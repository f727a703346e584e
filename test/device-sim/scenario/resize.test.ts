// Every preset with more or fewer devices, another rate, another length.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BadUsage } from '../../../device-sim/failure.ts'
import { loadScenario } from '../../../device-sim/scenario/load.ts'
import { type Plan, planOf } from '../../../device-sim/scenario/plan.ts'
import { presetNames } from '../../../device-sim/scenario/presets.ts'
import { parseScenario } from '../../../device-sim/scenario/read.ts'
import { resized } from '../../../device-sim/scenario/resize.ts'
import { stageTimes } from '../../../device-sim/scenario/stage-times.ts'

const honest = ({ groups }: Plan) => groups.filter(({ fault }) => fault === null)
const sum = (numbers: number[]) => numbers.reduce((all, one) => all + one, 0)
/** In which stage, and how far into it, each action and assertion is made. */
const places = (plan: Plan) => {
  const { beginsAtMs, endsAtMs } = stageTimes(plan)
  return [...plan.actions, ...plan.asserts].map(({ atMs }) => {
    if (atMs === null) return null
    const stage = beginsAtMs.findLastIndex(begin => begin <= atMs)
    const begin = beginsAtMs[stage] ?? 0
    return [
      stage,
      Math.round((100 * (atMs - begin)) / Math.max(1, (beginsAtMs[stage + 1] ?? endsAtMs) - begin)),
    ]
  })
}

describe('a scenario of another size', () => {
  for (const name of presetNames()) {
    it(`has as many devices, such a rate and such a length as was asked for: ${name}`, () => {
      const { plan } = loadScenario(name)
      fc.assert(
        fc.property(
          fc.integer({ min: honest(plan).length, max: 50_000 }),
          fc.integer({ min: 1, max: 2_000 }),
          fc.integer({ min: 5, max: 7_200 }),
          (devices, rate, seconds) => {
            const own = resized(plan, {
              devices: String(devices),
              rate: String(rate),
              duration: `${seconds}s`,
            })
            assert.equal(sum(honest(own).map(({ count }) => count)), devices)
            assert.ok(own.groups.every(({ count }) => count >= 1))
            for (const stage of own.stages) if (stage.kind === 'ramp') assert.equal(stage.rate, rate)
            const lengths = own.stages.map(({ forMs }) => forMs ?? 0)
            assert.ok(Math.abs(sum(lengths) - seconds * 1000) < 10)
            assert.ok(places(own).every(place => place === null || (place[1] as number) <= 100))
          },
        ),
        { numRuns: 50 },
      )
    })
  }

  it('does what it does at the same place of its stages', () => {
    const { plan } = loadScenario('revocation-wave')
    const before = places(plan)
    assert.deepEqual(places(resized(plan, { duration: '20s' })), before)
    assert.deepEqual(places(resized(plan, { rate: '500' })), before)
    assert.deepEqual(resized(plan, {}), plan)
  })

  it('shares devices out in proportion, and leaves rogues as they are', () => {
    const text = `
name: x
groups:
  - { name: a, count: 90 }
  - { name: b, count: 10 }
  - { name: rogue, count: 3, fault: foreign-ca }
stages: [{ kind: ramp }]
`
    const { plan } = planOf(parseScenario(text, 'x.yaml').scenario)
    assert.ok(plan)
    const counts = (devices: string) => resized(plan, { devices }).groups.map(({ count }) => count)
    assert.deepEqual(counts('1000'), [900, 100, 3])
    assert.deepEqual(counts('11'), [10, 1, 3])
    assert.deepEqual(counts('2'), [1, 1, 3])
  })

  it('says everything that does not fit', () => {
    const { plan } = loadScenario('command-fan-out')
    assert.throws(
      () => resized(plan, { devices: '1', rate: '0', duration: '5' }),
      (error: BadUsage) =>
        ['--devices', '--rate', '--duration'].every(
          (flag, index) => error.problems.some(p => p.startsWith(flag)) && index < 3,
        ),
    )
    assert.throws(() => resized(plan, { devices: 'many' }), BadUsage)
  })
})
