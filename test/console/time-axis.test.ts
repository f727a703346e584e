// Marks of the axes of charts: round, ordered, not more than fit; and colours that belong to one reason.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { timeMarks, valueMarks } from '../../console/components/time-axis.ts'
import { reasonColor } from '../../console/labels/chart-colors.ts'
import { reasonCodes } from '../../db/reason.ts'

const MINUTE_MS = 60_000

test('values are marked at 0, a half and a round top that is no less than the highest', () => {
  assert.deepEqual(valueMarks(0, 'counts'), [0, 1, 2])
  assert.deepEqual(valueMarks(100, 'counts'), [0, 50, 100])
  assert.deepEqual(valueMarks(101, 'counts'), [0, 100, 200])
  assert.deepEqual(valueMarks(5 * 1024, 'bytes'), [0, 2560, 5120])
  const measure = fc.constantFrom('counts', 'bytes', 'parts' as const)
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), measure, (highest, of) => {
      const [low, middle, top] = valueMarks(highest, of) as [number, number, number]
      assert.ok(low === 0 && middle * 2 === top && top >= highest && top > 0)
    }),
  )
})

test('times are marked no more often than fits, each once and in order, over every span', () => {
  const spans = [
    [MINUTE_MS, 60],
    [10 * MINUTE_MS, 144],
    [60 * MINUTE_MS, 168],
    [1440 * MINUTE_MS, 31],
    [7 * 1440 * MINUTE_MS, 53],
  ] as const
  fc.assert(
    fc.property(
      fc.constantFrom(...spans),
      fc.integer({ min: 0, max: 2_000_000_000_000 }),
      fc.integer({ min: 2, max: 20 }),
      ([periodMs, periods], begin, most) => {
        const first = Math.floor(begin / periodMs) * periodMs
        const times = Array.from({ length: periods }, (_, at) => first + at * periodMs)
        const marks = timeMarks(times, periodMs, most)
        // One more where the span begins and ends within a step.
        assert.ok(marks.length >= 1 && marks.length <= most + 1, `${marks.length} of ${most}`)
        assert.ok(marks.every(({ at }, index) => index === 0 || at > marks[index - 1]!.at))
      },
    ),
  )
  assert.deepEqual(timeMarks([], MINUTE_MS, 5), [])
})

test('each reason has a colour of its own, whatever else is shown; an unknown one that of the rest', () => {
  assert.equal(new Set(reasonCodes.map(reasonColor)).size, reasonCodes.length)
  assert.equal(reasonColor('unheard_of'), 'var(--chart-6)')
})
