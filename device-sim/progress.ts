// What a person sees while a run is going on: a live display on a terminal, a line every few seconds off it.
// Always on stderr; stdout belongs to the report.
import { styleText } from 'node:util'
import { createLogUpdate } from 'log-update'
import type { Measurements } from './measurements.ts'

export type Progress = {
  /** Work with a known end. */
  step(what: string, done: number, total: number): void
  /** Shows the fleet from now on, until `end`. */
  watch(fleet: FleetView): void
  /** A line that stays. */
  note(text: string): void
  end(): void
}

export type FleetView = {
  size: number
  measurements: Measurements
  /** What is going on now. */
  phase: () => string
  /** 0 to 1. */
  fraction: () => number
}

const TERMINAL_REFRESH_MS = 150
const PLAIN_REFRESH_MS = 5_000
const BAR_CELLS = 30

export function createProgress(stream: NodeJS.WriteStream): Progress {
  // A terminal that claims to have no rows would show nothing.
  const live = stream.isTTY === true && stream.rows > 3
  const draw = live ? createLogUpdate(stream) : null
  const refreshMs = live ? TERMINAL_REFRESH_MS : PLAIN_REFRESH_MS
  let shownAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | null = null

  function show(lines: string[]): void {
    shownAt = performance.now()
    if (draw) draw(lines.join('\n'))
    else stream.write(`${lines.join(' · ')}\n`)
  }

  function bar(fraction: number): string {
    const full = Math.round(Math.min(1, fraction) * BAR_CELLS)
    return (
      styleText('cyan', '━'.repeat(full), { stream }) +
      styleText('dim', '━'.repeat(BAR_CELLS - full), { stream })
    )
  }

  function headed(what: string, fraction: number, numbers: string): string {
    return live ? `${what.padEnd(12)} ${bar(fraction)} ${numbers}` : `${what} ${numbers}`.trim()
  }

  return {
    step(what, done, total) {
      if (done < total && performance.now() - shownAt < refreshMs) return
      show([headed(what, done / total, `${done}/${total}`)])
      if (done === total) draw?.done()
    },
    watch(fleet) {
      let publishedBefore = 0
      let lookedAt = performance.now()
      function look(): void {
        const m = fleet.measurements
        const elapsedSeconds = (performance.now() - lookedAt) / 1000
        const perSecond = elapsedSeconds > 0 ? (m.published - publishedBefore) / elapsedSeconds : 0
        publishedBefore = m.published
        lookedAt = performance.now()
        const { p50, p95, p99 } = m.publishLatency.read()
        const latency = p50 === null ? '' : ` · publish→ack p50 ${p50} p95 ${p95} p99 ${p99} ms`
        const failed = sum(m.outcomes) - (m.outcomes.get('admitted') ?? 0)
        show([
          headed(fleet.phase(), fleet.fraction(), `${m.connectedNow}/${fleet.size} connected`),
          `${m.published} published (${perSecond.toFixed(0)}/s), ${m.acknowledged} acknowledged${latency}`,
          `${failed} failed attempts, ${sum(m.dropped)} drops, ${m.lost} lost`,
        ])
      }
      timer = setInterval(look, refreshMs)
      timer.unref()
      if (live) look()
    },
    note(text) {
      if (draw) {
        draw.clear()
        draw.done()
      }
      stream.write(`${text}\n`)
    },
    end() {
      if (timer) clearInterval(timer)
      timer = null
      draw?.clear()
      draw?.done()
    },
  }
}

function sum(counts: Map<string, number>): number {
  let total = 0
  for (const count of counts.values()) total += count
  return total
}
