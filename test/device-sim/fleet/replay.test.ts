// A seed replays a run: the same arrivals, the same chance for every device, whichever worker asks.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { startTimesMs } from '../../../device-sim/fleet/start-times.ts'
import { chanceOf, createRandom, seedOf } from '../../../device-sim/random.ts'

describe('chance', () => {
  it('is the same for the same seed and place, and from 0 to below 1', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (seed, place) => {
        const [a, b] = [createRandom(seedOf(seed, place)), createRandom(seedOf(seed, place))]
        for (let turn = 0; turn < 20; turn++) {
          const number = a()
          assert.equal(number, b())
          assert.ok(number >= 0 && number < 1)
        }
      }),
    )
  })

  it('is even over the places of a fleet', () => {
    const chosen = Array.from({ length: 10_000 }, (_, index) => chanceOf(1, 'storm', 0, index)).filter(
      chance => chance < 0.05,
    )
    assert.ok(Math.abs(chosen.length - 500) < 100, `${chosen.length} of 10,000`)
  })
})

describe('arrivals', () => {
  it('are evenly apart', () =>
    assert.deepEqual([...startTimesMs(4, 10, { of: 'constant' }, 1)], [0, 100, 200, 300]))

  it('come in bursts at the same rate', () => {
    assert.deepEqual([...startTimesMs(5, 10, { of: 'burst', size: 2 }, 1)], [0, 0, 200, 200, 400])
  })

  it('as a Poisson process keep the rate, ascend, and follow the seed', () => {
    const times = startTimesMs(10_000, 100, { of: 'poisson' }, 7)
    assert.ok(Math.abs((times.at(-1) ?? 0) - 100_000) < 5_000, `${times.at(-1)}`)
    assert.ok(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0)))
    assert.deepEqual(times, startTimesMs(10_000, 100, { of: 'poisson' }, 7))
    assert.notDeepEqual(times, startTimesMs(10_000, 100, { of: 'poisson' }, 8))
  })
})
