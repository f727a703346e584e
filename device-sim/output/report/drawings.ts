// The drawings of the report that need no script: the parts of a connect one after the other, and latencies as heat maps.
// SVG with attributes alone, since the page allows no style but its sheet. Pure.
import type { ConnectPhases, Octaves, Sample } from '../../results/sample.ts'
import { count, duration } from '../figures.ts'
import { html, type Markup, verbatim } from './markup.ts'

const parts = [
  ['tcp', 'TCP', 'teal'],
  ['tls', 'TLS', 'blue'],
  ['connack', 'CONNACK', 'orange'],
] as const

const WIDTH = 600
const ROW = 22
const BAR = 12

/** Bars from where the part before ended, by medians; a thin line to the 95th percentile. Null where no device was admitted. */
export function waterfall(of: ConnectPhases): Markup | null {
  const measured = parts.filter(([name]) => of[name].count > 0)
  let at = 0
  const rows = measured.map(([name, label, tone]) => {
    const { p50, p95, p99 } = of[name]
    const row = { label, tone, from: at, to: at + (p50 ?? 0), late: at + (p95 ?? 0), p50, p95, p99 }
    at = row.to
    return row
  })
  if (rows.length === 0) return null
  const most = Math.max(0.001, ...rows.map(({ late }) => late))
  const x = (ms: number): string => ((ms / most) * WIDTH).toFixed(1)
  return html`<figure class="card drawing"><h3>Parts of a connect</h3>
<p class="note">Of attempts that were admitted, by medians; the line reaches to the 95th percentile.</p>
<table class="waterfall"><tbody>${rows.map(
    ({ label, tone, from, to, late, p50, p95, p99 }) =>
      html`<tr><td>${label}</td><td class="bar"><svg viewBox="0 0 ${WIDTH} ${ROW}" preserveAspectRatio="none" role="img" aria-label="${label} ${duration(p50)}"><rect class="fill-${tone}" x="${x(from)}" y="${(ROW - BAR) / 2}" width="${x(Math.max(to - from, most / 200))}" height="${BAR}"/><rect class="fill-${tone}" x="${x(from)}" y="${ROW / 2 - 1}" width="${x(late - from)}" height="2"/></svg></td><td>p50 ${duration(p50)}</td><td>p95 ${duration(p95)}</td><td>p99 ${duration(p99)}</td></tr>`,
  )}</tbody></table></figure>`
}

const COLUMNS_MAX = 120
const SHADES = 5
const HEIGHT = 14
const LABELS = 64

const maps = [
  ['connect', 'Connect latency, distribution'],
  ['acknowledge', 'Acknowledge latency, distribution'],
  ['deliver', 'Delivery latency, distribution'],
] as const

/** One for each latency that was measured in two points or more. */
export function heatMaps(points: readonly Sample[]): Markup[] {
  return maps.flatMap(([name, title]) => {
    const columns = columnsOf(points.map(({ octaves }) => octaves[name]))
    return columns.filter(column => column.length > 0).length < 2 ? [] : [heatMap(title, columns, points)]
  })
}

/** Neighbours added up, until there is room for all. */
function columnsOf(octaves: readonly Octaves[]): Octaves[] {
  const each = Math.max(1, Math.ceil(octaves.length / COLUMNS_MAX))
  const columns: Octaves[] = []
  for (let from = 0; from < octaves.length; from += each) {
    const column: Octaves = []
    for (const one of octaves.slice(from, from + each)) {
      for (const [octave, times] of one.entries()) column[octave] = (column[octave] ?? 0) + times
    }
    columns.push(column)
  }
  return columns
}

function heatMap(title: string, columns: readonly Octaves[], points: readonly Sample[]): Markup {
  const seen = columns.flatMap(column => column.flatMap((times, octave) => (times > 0 ? [octave] : [])))
  const [low, high] = [Math.min(...seen), Math.max(...seen)]
  const width = WIDTH / columns.length
  // A path for each shade: the share of the column's values that a cell has.
  const paths = Array.from({ length: SHADES }, () => '')
  for (const [index, column] of columns.entries()) {
    const all = column.reduce((sum, times) => sum + times, 0)
    for (const [octave, times] of column.entries()) {
      if (!times) continue
      const shade = Math.min(SHADES - 1, Math.floor((times / all) * SHADES))
      const cell = `M${(LABELS + index * width).toFixed(1)} ${(high - octave) * HEIGHT}h${width.toFixed(1)}v${HEIGHT}h-${width.toFixed(1)}z`
      paths[shade] += cell
    }
  }
  const rows = Array.from({ length: high - low + 1 }, (_, row) => high - row)
  const ends = points.at(-1)?.elapsedSeconds ?? 0
  return html`<figure class="card drawing"><h3>${title}</h3>
<p class="note">Rows double; the darker, the more of the column's values. ${count(columns.length)} columns over ${count(ends)} s.</p>
<svg class="heat" viewBox="0 0 ${LABELS + WIDTH} ${rows.length * HEIGHT}" role="img" aria-label="${title}">${rows.map(
    (octave, row) =>
      html`<text x="${LABELS - 6}" y="${row * HEIGHT + HEIGHT - 3}">&lt; ${duration(0.064 * 2 ** octave)}</text>`,
  )}${paths.map((path, shade) => (path === '' ? null : html`<path class="fill-blue" fill-opacity="${(0.2 + (0.8 * (shade + 1)) / SHADES).toFixed(2)}" d="${verbatim(path)}"/>`))}</svg></figure>`
}
