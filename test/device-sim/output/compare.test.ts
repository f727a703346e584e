// `sim compare`: what counts as worse, what is a breach, and what a file that is no summary gets to hear.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { runComparison } from '../../../device-sim/comparison-run.ts'
import { compare } from '../../../device-sim/output/comparison.ts'
import type { CheckResult, Summary } from '../../../device-sim/results/summary.ts'
import { summaryWith } from '../fakes/results.ts'

const directory = mkdtempSync(join(tmpdir(), 'rollcall-sim-'))
after(() => rmSync(directory, { recursive: true }))

const check = (expression: string, passed: boolean): CheckResult => {
  return { kind: 'threshold', expression, observed: 1, passed, elapsedSeconds: null }
}
const checked = (...checks: CheckResult[]) => summaryWith({ findings: { checks } })
const rowOf = (a: Summary, b: Summary, metric: string) =>
  compare(a, b, null).metrics.find(row => row.metric === metric)

async function told(a: unknown, b: unknown, flags: { maxWorse?: string; output?: string } = {}) {
  const files = [a, b].map((content, index) => {
    const file = join(directory, `${index}.json`)
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
    return file
  })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const io = { env: {}, stdout, stderr, signal: new AbortController().signal } as never
  const code = await runComparison(files[0]!, files[1]!, flags, io)
  return { code, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

describe('a comparison', () => {
  it('of a run with itself finds nothing', () => {
    const run = checked(check('lost = 0', true), check('drops = 0', false))
    const { breaches, exitCode, metrics, notes, checks } = compare(run, run, 0)
    assert.deepEqual([breaches, exitCode, notes], [[], 0, []])
    assert.ok(metrics.length > 20)
    assert.ok([...metrics, ...checks].every(row => row.change === 'same'))
  })

  it('calls a latency worse beyond 5 % and a millisecond', () => {
    const at = (ms: number) => summaryWith({ acknowledgeMs: [ms] })
    const change = (a: number, b: number) => rowOf(at(a), at(b), 'acknowledge p99')?.change
    assert.equal(change(100, 104), 'same')
    assert.equal(change(100, 107), 'worse')
    assert.equal(change(107, 100), 'better')
    assert.equal(change(0.5, 1.4), 'same')
    assert.equal(rowOf(at(100), at(200), 'acknowledge max')?.change, 'other')
    assert.equal(Math.round(rowOf(at(100), at(200), 'acknowledge p99')?.ratio ?? 0), 2)
  })

  it('fails by the promises that are no longer kept, and by them alone unless told otherwise', () => {
    const slow = summaryWith({ acknowledgeMs: [500] })
    assert.equal(compare(summaryWith({}), slow, null).exitCode, 0)
    assert.deepEqual(compare(summaryWith({ acknowledgeMs: [250] }), slow, 1.5).breaches, [])
    assert.equal(compare(summaryWith({ acknowledgeMs: [250] }), slow, 0.5).breaches.length, 3)
    const rows: [a: CheckResult[], b: CheckResult[], exitCode: number, change: string][] = [
      [[check('x = 1', true)], [check('x = 1', false)], 99, 'worse'],
      [[], [check('x = 1', false)], 99, 'worse'],
      [[check('x = 1', false)], [check('x = 1', false)], 0, 'same'],
      [[check('x = 1', false)], [check('x = 1', true)], 0, 'better'],
      [[check('x = 1', true)], [], 0, 'unknown'],
      [
        [check('x = 1', true), check('x = 1', true)],
        [check('x = 1', true), check('x = 1', false)],
        99,
        'worse',
      ],
    ]
    for (const [a, b, exitCode, change] of rows) {
      const found = compare(checked(...a), checked(...b), null)
      assert.deepEqual([found.exitCode, found.checks[0]?.change], [exitCode, change])
    }
  })

  it('fails by one more that was wrongly admitted, wrongly refused, lost or kept', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), (a, b) => {
        const { breaches } = compare(summaryWith({ lost: a }), summaryWith({ lost: b }), null)
        assert.deepEqual(breaches, b > a ? [`lost: ${b} instead of ${a}`] : [])
      }),
    )
    const worse = summaryWith({})
    worse.wronglyAdmitted.count = 1
    worse.wronglyRefused.count = 2
    assert.deepEqual(compare(summaryWith({}), worse, null).breaches, [
      'wrongly admitted: 1 instead of 0',
      'wrongly refused: 2 instead of 0',
    ])
  })

  it('says why two runs are not alike', () => {
    const other = summaryWith({
      run: { name: 'other', broker: 'mqtts://127.0.0.1:1', seed: 2 },
      findings: { limits: [{ limit: 'cpu', text: 'no CPU left', seconds: 3 }] },
    })
    other.interrupted = true
    assert.deepEqual(compare(summaryWith({}), other, null).notes, [
      'scenarios differ: fake and other',
      'seeds differ: 1 and 2',
      'brokers differ: mqtts://127.0.0.1:8883 and mqtts://127.0.0.1:1',
      'b was interrupted',
      'b reached a limit of the simulator for 3 s: no CPU left',
    ])
  })
})

describe('sim compare', () => {
  it('prints a table, or exactly one JSON object, and the exit code', async () => {
    const [a, b] = [
      checked(check('lost = 0', true)),
      summaryWith({ lost: 1, findings: { checks: [check('lost = 0', false)] } }),
    ]
    const { code, stdout, stderr } = await told(a, b)
    assert.deepEqual([code, stderr], [99, ''])
    assert.match(stdout, /^lost +0 +1 +worse$/m)
    assert.match(stdout, /^lost = 0 +kept +breached +worse$/m)
    assert.match(stdout, /^✗ lost = 0 is no longer kept$/m)
    const { metrics, exitCode } = JSON.parse((await told(a, b, { output: 'json' })).stdout)
    assert.deepEqual([exitCode, metrics[0].metric], [99, 'wrongly admitted'])
    assert.equal((await told(a, a)).code, 0)
  })

  it('says what is wrong with a file or a flag', async () => {
    const good = summaryWith({})
    const rows: [content: unknown, message: RegExp][] = [
      ['{', /0\.json: expected the JSON that sim run --json writes/],
      ['null', /0\.json: expected a summary/],
      [{ sample: 1 }, /0\.json: expected a summary/],
      [{ ...good, version: 2 }, /0\.json: expected version 1 of the summary, got 2/],
      [{ ...good, connects: undefined }, /0\.json: the summary is not whole/],
    ]
    for (const [content, message] of rows) {
      const { code, stdout, stderr } = await told(content, good)
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, message)
    }
    assert.match((await told(good, good, { maxWorse: '20' })).stderr, /--max-worse: expected a share/)
    const io = { stdout: new PassThrough(), stderr: new PassThrough() }
    assert.equal(await runComparison(join(directory, 'none'), join(directory, 'none'), {}, io as never), 2)
    assert.match(String(io.stderr.read()), /none: there is no such file/)
  })
})
