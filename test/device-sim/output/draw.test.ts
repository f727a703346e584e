// The report's script, run as a browser would run it but with a document and a uPlot that only remember: every chart
// gets its curves, logarithmic ones nothing that has no logarithm, and marks tell their words through textContent.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { reportPage } from '../../../device-sim/output/report/page.ts'
import { latencies, sampleOf, summaryWith } from '../fakes/results.ts'

type Plot = {
  options: {
    series: { label: string; show?: boolean; stroke?: () => string }[]
    scales: { y: { distr?: number } }
    hooks: { setCursor: ((plot: unknown) => void)[] }
  }
  data: (number | null)[][]
  room: { id: string }
}

/** What the script did, and the one thing that a reader can switch. */
function opened(page: string) {
  const [data, , code] = [...page.matchAll(/<script[^>]*>([\s\S]*?)<\/script>/g)].map(match => match[1] ?? '')
  const plots: Plot[] = []
  const heard: Record<string, (event: unknown) => void> = {}
  const element = (id: string) => ({
    id,
    clientWidth: 500,
    textContent: id === 'run-data' ? data : '',
    dataset: { note: 'note', index: id.slice(6) },
    querySelector: () => element(id),
    addEventListener: (_event: string, listen: (event: unknown) => void) => {
      heard[id] = listen
    },
  })
  class uPlot {
    series: unknown[]
    constructor(options: Plot['options'], values: Plot['data'], room: Plot['room']) {
      plots.push({ options, data: values, room })
      this.series = options.series
    }
    destroy() {}
  }
  const sandbox = {
    window: { uPlot },
    document: { getElementById: element, querySelector: element, documentElement: {} },
    getComputedStyle: () => ({ getPropertyValue: (name: string) => ` colour of ${name}` }),
    matchMedia: () => ({ addEventListener: () => {} }),
    ResizeObserver: class {
      observe() {}
    },
    devicePixelRatio: 1,
  }
  runInContext(code ?? '', createContext(sandbox))
  return { plots, logarithmic: () => heard['logarithmic']?.({ target: { checked: true } }) }
}

it('draws what the page carries', () => {
  const samples = [1, 2, 3].map(second => sampleOf(second, { deliverMs: latencies(second - 1) }))
  const events = [{ elapsedSeconds: 2, kind: 'action', text: 'revoke meters', good: true }] as const
  const { plots, logarithmic } = opened(
    reportPage(summaryWith({ findings: { events: [...events] } }), samples),
  )
  // What the script made belongs to its own realm, so it is copied before it is compared.
  const labels = (plot: Plot | undefined) => Array.from(plot?.options.series ?? [], ({ label }) => label)
  assert.deepEqual(labels(plots[0]), ['time', 'connected'])
  assert.deepEqual(
    Array.from(plots[0]?.data ?? [], values => [...values]),
    [
      [1, 2, 3],
      [10, 10, 10],
    ],
  )
  assert.equal(plots[0]?.options.series[1]?.stroke?.(), 'colour of --blue')
  const deliver = plots.find(({ room }) => room.id === 'chart-4')
  assert.deepEqual(labels(deliver), ['time', 'max', 'p99', 'p95', 'p50', 'min', 'p90'])
  assert.deepEqual([...(deliver?.data[1] ?? [])], [0, 1, 2])
  const caption = { textContent: '', dataset: { note: 'a note' } }
  const cursorAt = (left: number) => ({ caption, cursor: { left }, posToVal: (at: number) => at / 100 })
  deliver?.options.hooks.setCursor[0]?.(cursorAt(200))
  assert.equal(caption.textContent, '0:02 revoke meters')
  deliver?.options.hooks.setCursor[0]?.(cursorAt(-10))
  assert.equal(caption.textContent, 'a note')

  const before = plots.length
  logarithmic()
  const again = plots.slice(before).find(({ room }) => room.id === 'chart-4')
  assert.equal(again?.options.scales.y.distr, 3)
  assert.deepEqual([...(again?.data[1] ?? [])], [null, 1, 2])
})
