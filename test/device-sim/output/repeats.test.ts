// Repeated runs: how sure a mean is, whether two versions differ by more than their runs do, and the processes watched meanwhile.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compare } from '../../../device-sim/output/comparison.ts'
import { repeatsText } from '../../../device-sim/output/repeats-text.ts'
import { differenceOf, intervalOf } from '../../../device-sim/results/intervals.ts'
import type { Repeats } from '../../../device-sim/results/summary.ts'
import { createProcessWatch } from '../../../device-sim/run/watched-process.ts'
import { bench } from '../fakes/command.ts'
import { startPlainBroker } from '../fakes/plain-broker.ts'
import { summaryWith } from '../fakes/results.ts'

const runs = (...ms: number[]) => ms.map(one => summaryWith({ acknowledgeMs: [one] }))
const p99 = (a: number[], b: number[], worseMax: number | null = null) => {
  const { metrics, breaches } = compare(runs(...a), runs(...b), worseMax)
  return { row: metrics.find(({ metric }) => metric === 'acknowledge p99'), breaches }
}
const near = (actual: number | null | undefined, expected: number): void =>
  assert.ok(
    Math.abs((actual ?? Number.NaN) - expected) < expected * 0.002 + 1e-9,
    `${actual}, not ${expected}`,
  )

describe('an interval', () => {
  it('is that of Student', () => {
    assert.deepEqual(intervalOf([7]), { mean: 7, halfWidth: null })
    // Mean 3, standard deviation 1.5811, t of four degrees 2.776.
    const { mean, halfWidth } = intervalOf([1, 2, 3, 4, 5])
    assert.equal(mean, 3)
    near(halfWidth, (2.776 * 1.58114) / Math.sqrt(5))
  })

  it('of a difference needs two runs of each, and is that of Welch', () => {
    assert.equal(differenceOf([1], [2, 3]), null)
    // Variances 2.5 and 10, so 5.88 degrees of freedom: t of five.
    const difference = differenceOf([1, 2, 3, 4, 5], [2, 4, 6, 8, 10])
    assert.equal(difference?.mean, 3)
    near(difference?.halfWidth, 2.571 * Math.sqrt(0.5 + 2))
    assert.deepEqual(differenceOf([4, 4], [5, 5]), { mean: 1, halfWidth: 0 })
  })
})

describe('repeated runs', () => {
  it('differ where the difference is larger than the noise, however small it is', () => {
    assert.equal(p99([100, 140, 60, 120], [130, 150, 90, 125]).row?.change, 'same')
    assert.equal(p99([100, 101, 99, 100], [104, 105, 103, 104]).row?.change, 'worse')
    assert.equal(p99([104, 105, 103, 104], [100, 101, 99, 100]).row?.change, 'better')
    const { intervals } = p99([100, 101, 99, 100], [104, 105, 103, 104]).row ?? {}
    assert.ok(intervals && intervals.difference.mean > (intervals.difference.halfWidth ?? 0))
  })

  it('breach --max-worse by what is no noise alone', () => {
    assert.deepEqual(p99([100, 180, 20, 100], [150, 230, 70, 150], 0.2).breaches, [])
    // p50, p95 and p99 of one value are the same.
    assert.equal(p99([100, 101, 99, 100], [150, 151, 149, 150], 0.2).breaches.length, 3)
  })

  it('are worse where one of them did what none may do', () => {
    const good = summaryWith({})
    const bad = summaryWith({})
    bad.wronglyAdmitted.count = 1
    assert.deepEqual(compare([good, good, good], [good, bad, good], null).breaches, [
      'wrongly admitted: 1 instead of 0',
    ])
  })

  it('are said with mean, interval and extremes', () => {
    const text = repeatsText({ summary: 'rollcall-sim-repeats', version: 1, runs: runs(100, 102, 98) })
    assert.match(text, /acknowledge p99 +100 ms +± 4\.97 ms +98 ms to 102 ms/)
    assert.match(text, /3 runs/)
  })

  it('are what --repeat makes, with the CPU and memory of a watched process', async () => {
    await using broker = await startPlainBroker()
    const flags = `-h 127.0.0.1 -p ${broker.port} -c 2 -i 1 -I 10 -t a -L 20 -V 4 --repeat 2 -o json`
    const { code, stdout } = await bench('pub', ...flags.split(' '), '--watch-pid', `${process.pid}`)
    const repeats = JSON.parse(stdout) as Repeats
    assert.equal(code, 0)
    assert.deepEqual(
      repeats.runs.map(({ traffic }) => traffic.qos0.sent),
      [20, 20],
    )
    for (const { watched } of repeats.runs) {
      assert.deepEqual(watched?.pids, [process.pid])
      assert.ok(watched.rssMaxBytes > 10_000_000)
    }
  })

  it('are not made where an output is of one run, or a process is not there', async () => {
    const args = ['conn', '-h', '127.0.0.1', '-c', '1']
    const files = ['--report', '/dev/null/report.html', '--csv', '/dev/null/rows.csv']
    const wrong = await bench(...args, '--repeat', '2', ...files)
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /--report: is of one run/)
    assert.match(wrong.stderr, /--csv: is of one run/)
    for (const pid of ['4294967290', 'all', '0', '1,,2']) {
      const { code, stderr } = await bench(...args, '--watch-pid', pid)
      assert.equal(code, 2, pid)
      assert.match(stderr, /--watch-pid: .* is no process of this machine/)
    }
  })
})

it('watched processes are counted together, until each has ended', () => {
  const used = new Map([
    [7, { cpuSeconds: 10, rssBytes: 100 }],
    [8, { cpuSeconds: 20, rssBytes: 200 }],
  ])
  const watch = createProcessWatch([7, 8], pid => used.get(pid) ?? null)
  used.set(7, { cpuSeconds: 10.5, rssBytes: 110 }).set(8, { cpuSeconds: 21, rssBytes: 190 })
  assert.deepEqual([watch.look(2), watch.ended()], [{ cpu: 0.75, rssBytes: 300 }, []])
  used.delete(7)
  assert.deepEqual([watch.look(1), watch.ended(), watch.ended()], [{ cpu: 0, rssBytes: 190 }, [7], []])
  // The same number, and another process.
  used.set(8, { cpuSeconds: 0.1, rssBytes: 190 })
  assert.deepEqual([watch.look(1), watch.ended()], [null, [8]])
})
