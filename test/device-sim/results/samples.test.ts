// Histograms add up without losing tails, and ticks of workers become samples that add up to the whole run.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { createHistogram } from '../../../device-sim/results/histogram.ts'
import { createSamples } from '../../../device-sim/results/samples.ts'
import {
  createCounts,
  createLatencies,
  noPopulation,
  type Tick,
  takeLatencies,
} from '../../../device-sim/results/tick.ts'

const milliseconds = fc.array(fc.double({ min: 0, max: 3_600_000, noNaN: true }), {
  minLength: 1,
  maxLength: 200,
})

describe('a histogram', () => {
  it('is within 0.8 % or a microsecond of every percentile, however it was put together', () => {
    fc.assert(
      fc.property(milliseconds, fc.integer({ min: 1, max: 5 }), (values, parts) => {
        const workers = Array.from({ length: parts }, createHistogram)
        for (const [index, value] of values.entries()) workers[index % parts]!.record(value)
        const whole = createHistogram()
        for (const worker of workers) whole.add(worker.take())
        const sorted = values.toSorted((a, b) => a - b)
        const read = whole.read()
        assert.equal(read.count, values.length)
        for (const [percent, seen] of [
          [50, read.p50],
          [90, read.p90],
          [99, read.p99],
        ] as const) {
          const exact = sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100)) - 1]!
          assert.ok(
            Math.abs(seen! - exact) <= Math.max(0.0021, exact * 0.008),
            `p${percent} ${seen} of ${exact}`,
          )
        }
        assert.ok(Math.abs(read.max! - sorted.at(-1)!) < 0.001)
        assert.ok(Math.abs(read.min! - sorted[0]!) < 0.001)
      }),
    )
  })

  it('is empty after it was taken', () => {
    const histogram = createHistogram()
    histogram.record(3)
    assert.ok(histogram.take())
    assert.equal(histogram.take(), null)
    assert.deepEqual(histogram.read().p99, null)
  })
})

function tick(change: (tick: Tick, latencies: ReturnType<typeof createLatencies>) => void): Tick {
  const latencies = createLatencies(2)
  const draft = {
    counts: createCounts(2),
    populations: [noPopulation(), noPopulation()],
    entitled: [],
    rssBytes: 0,
  } as unknown as Tick
  change(draft, latencies)
  return { ...draft, ...takeLatencies(latencies) }
}

describe('samples', () => {
  it('add workers up within a second and start anew with the next', () => {
    const samples = createSamples(2, 2)
    for (const worker of [0, 1]) {
      samples.take(
        worker,
        tick(({ counts, populations }, latencies) => {
          counts.groups[1]!.connects.attempts = 3
          counts.groups[1]!.refusals['connack_5'] = { expected: 1, unexpected: 1 }
          counts.groups[0]!.wronglyAdmitted = 2
          counts.traffic[1].sent = 10
          counts.cpuSeconds = 0.25 * (worker + 1)
          populations[0]!.connected = 4
          latencies.connect[1]!.record(5 + worker)
          latencies.late.record(1)
        }),
      )
    }
    const moment = { at: new Date(0), stage: 'steady' }
    const first = samples.cut({ ...moment, elapsedSeconds: 1 })
    assert.equal(first.connects.attempts, 6)
    assert.deepEqual(first.refusals, { connack_5: { expected: 2, unexpected: 2 } })
    assert.equal(first.wronglyAdmitted, 4)
    assert.equal(first.traffic.qos1.sent, 20)
    assert.equal(first.population.connected, 8)
    assert.deepEqual([first.connects.latencyMs.min, first.connects.latencyMs.max], [5, 6])
    assert.deepEqual([first.tool.cpuBusiest, first.tool.cpuTotal], [0.5, 0.75])
    const second = samples.cut({ ...moment, elapsedSeconds: 2 })
    assert.deepEqual([second.connects.attempts, second.traffic.qos1.sent, second.tool.cpuTotal], [0, 0, 0])
    assert.equal(second.population.connected, 8, 'a population lasts until the next tick')
    const { counts, latencies } = samples.total()
    assert.equal(counts.groups[1]!.connects.attempts, 6)
    assert.equal(latencies.connect[1]!.read().count, 2)
  })
})
