// Values over periods of equal length: stacked bars or lines, drawn as plain SVG. The period that is pointed at says its values
// below; the name of the drawing says the sums.
import { useLayoutEffect, useRef, useState } from 'react'
import { type Measure, periodText, timeMarks, valueMarks } from './time-axis.ts'

/** A value is null where nothing is known. */
export type Series = { name: string; color: string; values: readonly (number | null)[] }

const HEIGHT = 180
const BOTTOM = 22
const TOP = 10
const CHARACTER = 6.6
const MARK_WIDTH = 76

export function TimeChart({
  label,
  kind,
  times,
  periodMs,
  series,
  format,
  measure,
}: {
  label: string
  kind: 'bars' | 'lines'
  /** The begin of each period, in ms since the epoch. */
  times: readonly number[]
  periodMs: number
  series: readonly Series[]
  format: (value: number) => string
  measure: Measure
}) {
  const frame = useRef<SVGSVGElement>(null)
  const [width, setWidth] = useState(560)
  const [pointed, setPointed] = useState<number | null>(null)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    setWidth(Math.max(220, element.getBoundingClientRect().width))
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(220, entry?.contentRect.width ?? 560)))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const heights = times.map((_, at) => {
    const values = series.map(({ values }) => values[at] ?? 0)
    return kind === 'bars' ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values)
  })
  const marks = valueMarks(Math.max(0, ...heights), measure)
  const top = marks.at(-1)!
  const left = Math.ceil(Math.max(...marks.map(mark => format(mark).length)) * CHARACTER) + 12
  const step = (width - left) / Math.max(1, times.length)
  const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)
  const x = (at: number) => left + at * step
  const periodAt = (offset: number) => (offset < left ? null : Math.floor((offset - left) / step))
  return (
    <div>
      <svg
        ref={frame}
        className="chart"
        role="img"
        aria-label={label}
        viewBox={`0 0 ${width} ${HEIGHT}`}
        onPointerMove={event => setPointed(periodAt(event.nativeEvent.offsetX))}
        onPointerLeave={() => setPointed(null)}
      >
        {marks.map(mark => (
          <g key={mark}>
            <line className="grid-line" x1={left} x2={width} y1={y(mark)} y2={y(mark)} />
            <text x={left - 8} y={y(mark) + 4} textAnchor="end">
              {format(mark)}
            </text>
          </g>
        ))}
        {timeMarks(times, periodMs, Math.max(2, Math.floor((width - left) / MARK_WIDTH))).map(
          ({ at, text }) => {
            const middle = x(at) + (kind === 'bars' ? step / 2 : 0)
            const half = (text.length * CHARACTER) / 2
            if (middle + half > width) return null
            return (
              <text key={at} x={Math.max(middle, left + half - 4)} y={HEIGHT - 6} textAnchor="middle">
                {text}
              </text>
            )
          },
        )}
        {kind === 'bars'
          ? barPaths(series, times.length, { x, y, step }).map(({ name, color, d }) => (
              <path key={name} d={d} style={{ fill: color }} />
            ))
          : series.map(({ name, color, values }) => (
              <path
                key={name}
                className="line"
                d={pathOf(values, at => x(at) + step / 2, y)}
                style={{ stroke: color }}
              />
            ))}
        {pointed === null || times[pointed] === undefined ? null : (
          <rect className="period" x={x(pointed)} y={TOP} width={step} height={HEIGHT - TOP - BOTTOM} />
        )}
      </svg>
      <p className="pointed small" aria-hidden="true">
        {pointed === null || times[pointed] === undefined
          ? '\u00a0'
          : `${periodText(times[pointed], periodMs)}: ${valuesText(series, pointed, format)}`}
      </p>
    </div>
  )
}

/** One path for each series: many bars, few elements. */
function barPaths(
  series: readonly Series[],
  periods: number,
  { x, y, step }: { x: (at: number) => number; y: (value: number) => number; step: number },
): { name: string; color: string; d: string }[] {
  const below = Array<number>(periods).fill(0)
  const width = Math.max(0.75, step * 0.8).toFixed(2)
  return series.map(({ name, color, values }) => {
    const parts: string[] = []
    for (const [at, value] of values.entries()) {
      if (value === null || value === 0) continue
      const bottom = y(below[at]!)
      below[at]! += value
      const height = Math.max(1, bottom - y(below[at]!))
      const left = (x(at) + step * 0.1).toFixed(2)
      parts.push(`M${left} ${bottom.toFixed(1)}v${(-height).toFixed(1)}h${width}v${height.toFixed(1)}z`)
    }
    return { name, color, d: parts.join('') }
  })
}

/** Broken where nothing is known; a value alone is a short dash. */
function pathOf(
  values: readonly (number | null)[],
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  const parts: string[] = []
  for (const [at, value] of values.entries()) {
    if (value === null) continue
    const before = values[at - 1]
    if (before === null || before === undefined)
      parts.push(`M${(x(at) - 1).toFixed(1)} ${y(value).toFixed(1)}`)
    parts.push(`L${x(at).toFixed(1)} ${y(value).toFixed(1)}`)
  }
  return parts.join('')
}

function valuesText(series: readonly Series[], at: number, format: (value: number) => string): string {
  const texts = series.flatMap(({ name, values }) => {
    const value = values[at]
    return value === null || value === undefined || value === 0 ? [] : [`${name} ${format(value)}`]
  })
  return texts.join(', ') || 'nothing'
}
