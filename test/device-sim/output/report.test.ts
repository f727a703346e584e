// The report: one file that opens offline, cannot be made to run what a run brought, and stays small without hiding a
// bad second.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { html } from '../../../device-sim/output/report/markup.ts'
import { reportPage } from '../../../device-sim/output/report/page.ts'
import { createSeries } from '../../../device-sim/output/report/series.ts'
import type { Sample } from '../../../device-sim/results/sample.ts'
import { latencies, sampleOf, summaryWith } from '../fakes/results.ts'

const attack = `"'><script>alert(1)</script><img src=x onerror=alert(1)></script><!--`

/** A run in which every text that somebody else chooses is an attack. */
function attacked(): string {
  const group = {
    name: attack,
    count: 1,
    link: 'lean',
    protocol: 5,
    keyType: attack,
    fault: attack,
    expect: 'refused',
  } as const
  const at = { elapsedSeconds: 1 }
  const summary = summaryWith({
    run: {
      name: attack,
      description: attack,
      source: attack,
      broker: attack,
      runId: attack,
      sources: [attack],
      groups: [group],
      stages: [{ name: attack, kind: attack, beginsAtSeconds: 0, endsAtSeconds: null }],
    },
    refusals: { [attack]: { expected: 1, unexpected: 1 } },
    findings: {
      wronglyAdmitted: [{ device: attack, group: attack, how: 'admitted', why: attack, ...at }],
      wronglyRefused: [{ device: attack, group: attack, saw: attack }],
      checks: [
        { kind: 'threshold', expression: attack, observed: null, passed: false, elapsedSeconds: null },
      ],
      events: [{ kind: 'action', text: attack, good: false, ...at }],
      limits: [{ limit: 'cpu', text: attack, seconds: 1 }],
      troubles: [attack],
    },
  })
  summary.failures = { [attack]: 1 }
  summary.drops = { [attack]: 1 }
  summary.reasons = { [attack]: 1, puback_0x10: 3, disconnect_0x98: 2 }
  summary.wronglyAdmitted.count = 1
  summary.wronglyRefused.count = 1
  const second = { refusals: { [attack]: { expected: 1, unexpected: 0 } }, stage: attack }
  return reportPage(summary, [sampleOf(1, second), sampleOf(2)])
}

describe('the report', () => {
  it('names the reason codes of MQTT 5, and draws those that are no success', () => {
    const summary = summaryWith({})
    summary.reasons = { suback_0x00: 4, puback_0x00: 7, puback_0x10: 3, connack_0x8A: 2 }
    const page = reportPage(summary, [sampleOf(1, { reasons: summary.reasons }), sampleOf(2)])
    const rows = [...page.matchAll(/<tr>((?:(?!<\/tr>)[\s\S])*0x(?:(?!<\/tr>)[\s\S])*)<\/tr>/g)]
    assert.deepEqual(
      rows.map(([, cells = '']) =>
        cells
          .replaceAll(/<[^>]*>/g, ' ')
          .trim()
          .split(/\s{2,}/),
      ),
      [
        ['CONNACK', '0x8A', 'Banned', '2'],
        ['PUBACK', '0x00', 'Success', '7'],
        ['PUBACK', '0x10', 'No matching subscribers', '3'],
        ['SUBACK', '0x00', 'Granted QoS 0', '4'],
      ],
    )
    const data = /id="run-data">([\s\S]*?)<\/script>/.exec(page)?.[1] ?? ''
    const chart = JSON.parse(data).charts.find(({ title }: { title: string }) => title === 'Reason Codes')
    assert.deepEqual(
      chart.curves.map(({ label }: { label: string }) => label),
      ['puback_0x10', 'connack_0x8A'],
    )
  })

  it('draws the parts of a connect one after the other, and latencies by their frequency', () => {
    const summary = summaryWith({})
    const [tcp, tls, connack] = [latencies(2), latencies(6), latencies(4)]
    summary.connectPartsMs = { tcp, tls, connack }
    const none = { connect: [], deliver: [] }
    const seconds = [[1], [0, 3, 1], [], [4]].map((acknowledge, index) =>
      sampleOf(index + 1, { octaves: { ...none, acknowledge } }),
    )
    const page = reportPage(summary, seconds)
    const bars = [...page.matchAll(/<rect class="fill-(\w+)" x="([\d.]+)" y="5" width="([\d.]+)"/g)]
    assert.deepEqual(
      bars.map(([, tone, x, width]) => [tone, Number(x), Number(width)]),
      [
        ['teal', 0, 100],
        ['blue', 100, 300],
        ['orange', 400, 200],
      ],
    )
    // Three columns have values, in three rows; the empty second has no cell.
    const map = /<svg class="heat"[\s\S]*?<\/svg>/.exec(page)?.[0] ?? ''
    assert.deepEqual([map.match(/M[\d.]+ /g)?.length, map.match(/<text/g)?.length], [4, 3])
    assert.match(map, /fill-opacity="1.00" d="M64\.0 28h/)
    assert.equal(page.match(/<svg class="heat"/g)?.length, 1)
    const plain = reportPage(summaryWith({}), [sampleOf(1, { octaves: { ...none, acknowledge: [1] } })])
    assert.ok(!/class="(heat|waterfall)"/.test(plain), 'one point is no map')
  })

  it('runs its own two scripts and nothing that a run brought', () => {
    const page = attacked()
    assert.ok(page.includes('&#60;script&#62;alert(1)'), 'the words are there')
    assert.ok(!page.includes('<script>alert'))
    assert.ok(!page.includes('<img'))
    const scripts = [...page.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)]
    assert.equal(scripts.length, 3)
    assert.equal(page.match(/<\/script/g)?.length, 3)
    const [data, ...code] = scripts
    assert.equal(data?.[1], ' type="application/json" id="run-data"')
    assert.equal(JSON.parse(data?.[2] ?? '').marks[0].text, attack)
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1] ?? ''
    const allowed = [...policy.matchAll(/sha256-([\w+/=]+)/g)].map(match => match[1])
    const styles = [...page.matchAll(/<style>([\s\S]*?)<\/style>/g)]
    const inside = [...code.map(match => match[2]), ...styles.map(match => match[1])]
    assert.deepEqual(
      inside.map(text => createHash('sha256').update(text!).digest('base64')),
      allowed,
    )
    assert.ok(policy.startsWith('default-src &#39;none&#39;;') && !policy.includes('unsafe'))
    const markup = page.replaceAll(/<(script|style)[^>]*>[\s\S]*?<\/\1>/g, '')
    const tags = markup.match(/<[a-z][^>]*>/g) ?? []
    assert.ok(tags.length > 50)
    assert.deepEqual(
      tags.filter(tag => / on\w+=| style=|^<(iframe|object|embed|form|base|img)/.test(tag)),
      [],
    )
  })

  it('escapes whatever is put into markup', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', '`', 'a') }), text => {
        const inner = /^<a b="(.*)">$/s.exec(html`<a b="${text}">`.markup)?.[1] ?? ''
        assert.ok(!/[<>"'`]/.test(inner))
        const back = inner.replaceAll(/&#(\d+);/g, (_all, code) => String.fromCharCode(Number(code)))
        assert.equal(back, text)
      }),
    )
  })

  it('names nothing that a browser would fetch', () => {
    const page = reportPage(summaryWith({}), [sampleOf(1)])
    const outside = page.replaceAll(/<script>[\s\S]*?<\/script>/g, '')
    assert.deepEqual(
      [...outside.matchAll(/\b(?:src|href|action|url)\s*[=(]\s*"?([^"\s>]*)/g)].map(match => match[1]),
      ['data:,'],
    )
    assert.ok(page.includes('The above copyright notice'), "uPlot's licence comes along")
  })

  it('of an hour of 5,000 devices is at most 5 MB, with every second in it', () => {
    const series = createSeries()
    for (let second = 1; second <= 3_600; second++) series.add(busySecond(second))
    const page = reportPage(summaryWith({}), series.points())
    assert.ok(page.length <= 5_000_000, `${page.length} bytes`)
    const { seconds } = JSON.parse(/id="run-data">(.*?)<\/script>/s.exec(page)?.[1] ?? '')
    assert.equal(seconds.length, 3_600)
  })
})

describe('a series of samples', () => {
  it('keeps sums, the fewest connected and the worst latencies, however long the run was', () => {
    const second = fc.record({
      connected: fc.nat(100),
      sent: fc.nat(1000),
      latency: fc.array(fc.double({ min: 0.01, max: 1e4, noNaN: true }), { maxLength: 3 }),
    })
    fc.assert(
      fc.property(
        fc.array(second, { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 2, max: 9 }),
        (all, most) => {
          const series = createSeries(most)
          const samples = all.map((one, index) => spelled(index + 1, one))
          for (const sample of samples) series.add(sample)
          const points = series.points()
          assert.ok(points.length <= most)
          const sum = (of: readonly Sample[], pick: (sample: Sample) => number) =>
            of.reduce((total, sample) => total + pick(sample), 0)
          for (const pick of [
            (sample: Sample) => sample.seconds,
            (sample: Sample) => sample.traffic.qos1.sent,
            (sample: Sample) => sample.refusals['connack_5']?.expected ?? 0,
            (sample: Sample) => sample.deliverMs.count,
          ]) {
            assert.equal(sum(points, pick), sum(samples, pick))
          }
          const extreme = (of: readonly Sample[], pick: (sample: Sample) => number | null) =>
            Math.max(...of.map(sample => pick(sample) ?? 0))
          for (const pick of [
            (sample: Sample) => sample.deliverMs.p50,
            (sample: Sample) => sample.deliverMs.p99,
            (sample: Sample) => sample.deliverMs.max,
            (sample: Sample) => -sample.population.connected - 1e6,
          ]) {
            assert.equal(extreme(points, pick), extreme(samples, pick))
          }
          assert.equal(points.at(-1)?.elapsedSeconds, samples.length)
        },
      ),
    )
  })
})

function spelled(second: number, one: { connected: number; sent: number; latency: number[] }): Sample {
  const sample = sampleOf(second)
  sample.population.connected = one.connected
  sample.traffic.qos1.sent = one.sent
  sample.refusals = one.sent % 2 === 0 ? { connack_5: { expected: one.sent, unexpected: 0 } } : {}
  sample.deliverMs = latencies(...one.latency)
  return sample
}

/** Every number long and different, many reasons. */
function busySecond(second: number): Sample {
  const some = (most: number): number => Math.round(most * Math.abs(Math.sin(second * 12.9898)) * 1000) / 1000
  const sample = sampleOf(second)
  for (const traffic of Object.values(sample.traffic)) {
    for (const name of Object.keys(traffic) as (keyof typeof traffic)[])
      traffic[name] = Math.round(some(9_999))
  }
  for (const name of Object.keys(sample.population) as (keyof Sample['population'])[]) {
    sample.population[name] = Math.round(some(5_000))
  }
  Object.assign(sample.connects, {
    admitted: 123,
    refused: 456,
    failed: 789,
    latencyMs: latencies(some(900), 77.123),
  })
  sample.acknowledgeMs = sample.deliverMs = sample.tool.lateMs = latencies(some(123), some(555), 88.888)
  Object.assign(sample.tool, { cpuBusiest: some(1), cpuTotal: some(2), rssBytes: some(1e9) })
  for (let reason = 0; reason < 20; reason++) {
    sample.refusals[`connack_${reason}`] = { expected: Math.round(some(99)), unexpected: 1 }
  }
  return sample
}
