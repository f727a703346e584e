// Stacked bars over time, drawn as plain SVG. The text beside it says the same.
import { useLayoutEffect, useRef, useState } from 'react'
import { count } from '../labels/formats.ts'

export type Series = { name: string; values: readonly number[] }

const HEIGHT = 180
const LEFT = 40
const BOTTOM = 22
const TOP = 8
const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hour12: false })

export function Bars({
  label,
  times,
  series,
}: {
  label: string
  times: readonly string[]
  series: readonly Series[]
}) {
  const frame = useRef<SVGSVGElement>(null)
  const [width, setWidth] = useState(800)
  useLayoutEffect(() => {
    const element = frame.current
    if (element === null) return
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, entry?.contentRect.width ?? 800)))
    observer.observe(element)
    return () => observer.disconnect()
  }, [])
  const sums = times.map((_, at) => series.reduce((sum, { values }) => sum + (values[at] ?? 0), 0))
  const top = roundUp(Math.max(1, ...sums))
  const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)
  const step = (width - LEFT) / Math.max(1, times.length)
  const every = Math.max(1, Math.ceil(times.length / (width / 90)))
  return (
    <svg ref={frame} className="bars" role="img" aria-label={label} viewBox={`0 0 ${width} ${HEIGHT}`}>
      {[0, top / 2, top].map(value => (
        <g key={value}>
          <line className="grid-line" x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
          <text x={LEFT - 8} y={y(value) + 4} textAnchor="end">
            {Number.isInteger(value) ? count(value) : ''}
          </text>
        </g>
      ))}
      {times.map((time, at) => {
        let below = 0
        return (
          <g key={time}>
            <title>
              {`${clock.format(new Date(time))}: ${
                series
                  .filter(({ values }) => (values[at] ?? 0) > 0)
                  .map(({ name, values }) => `${name} ${count(values[at]!)}`)
                  .join(', ') || 'nothing'
              }`}
            </title>
            <rect
              x={LEFT + at * step}
              y={TOP}
              width={step}
              height={HEIGHT - TOP - BOTTOM}
              fill="transparent"
            />
            {series.map(({ name, values }, index) => {
              const value = values[at] ?? 0
              if (value === 0) return null
              const from = below
              below += value
              return (
                <rect
                  key={name}
                  className={`fill-${(index % 6) + 1}`}
                  x={LEFT + at * step + step * 0.12}
                  width={step * 0.76}
                  y={y(below)}
                  height={Math.max(1, y(from) - y(below))}
                />
              )
            })}
            {at % every === 0 ? (
              <text x={LEFT + at * step + step / 2} y={HEIGHT - 6} textAnchor={at === 0 ? 'start' : 'middle'}>
                {clock.format(new Date(time))}
              </text>
            ) : null}
          </g>
        )
      })}
    </svg>
  )
}

/** To 1, 2 or 5 times a power of ten, so that the lines stand at round numbers. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [1, 2, 5, 10].find(factor => factor * power >= value)!
  return Math.max(2, step * power)
}
