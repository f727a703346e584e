// How far apart the moments are at which a fleet publishes.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { beatsPerMs, gridOf } from '../../../device-sim/fleet/beat-grid.ts'
import type { Plan } from '../../../device-sim/scenario/plan.ts'

it('puts no more than 20 messages on one moment, unless moments would be less than 4 ms apart', () => {
  const grids = [
    // 8,000, 2,000 and 1,500 messages a second.
    [250, 8],
    [1_000, 2],
    [10_000, 1.5],
    // Never more than 16 ms apart, than a hundredth of an interval, and below 40 ms than a tenth of it.
    [60_000, 0.001],
    [800, 0.001],
    [20, 0.1],
  ] as const
  assert.deepEqual(
    grids.map(([everyMs, perMs]) => gridOf(everyMs, perMs)),
    [4, 10, 13, 16, 8, 2],
  )
})

it('counts the messages of all groups, those of an occasion excepted', () => {
  const groups = [
    { count: 2_000, publish: [{ everyMs: 1_000, on: null }] },
    {
      count: 100,
      publish: [
        { everyMs: 500, on: null },
        { everyMs: 0, on: 'connect' },
      ],
    },
  ]
  assert.equal(beatsPerMs({ groups } as unknown as Plan), 2.2)
})
