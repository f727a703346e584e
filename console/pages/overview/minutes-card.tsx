// Connects and refusals of the last hour, minute by minute; refusals by their reasons.
import type { Overview } from '../../api/response-types.ts'
import { Bars, type Series } from '../../components/bars.tsx'
import { Card } from '../../components/card.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { count } from '../../labels/formats.ts'
import { reasonLabel } from '../../labels/reasons.ts'

const REASONS_SHOWN = 4
const MINUTES = 60
const MINUTE_MS = 60_000

type Minute = NonNullable<Overview['perMinute']>[number]

/** `minutes` are those in which something happened. */
export function MinutesCard({ at, minutes: noted }: { at: string; minutes: readonly Minute[] }) {
  const minutes = lastHour(at, noted)
  const totals = new Map<string, number>()
  for (const { refused } of minutes)
    for (const [reason, value] of Object.entries(refused))
      totals.set(reason, (totals.get(reason) ?? 0) + value)
  const ranked = [...totals].sort(([, one], [, other]) => other - one).map(([reason]) => reason)
  const shown = ranked.slice(0, REASONS_SHOWN)
  const rest = ranked.slice(REASONS_SHOWN)
  const series: Series[] = [
    { name: 'Connected', values: minutes.map(({ connected }) => connected) },
    ...shown.map(reason => ({
      name: reasonLabel(reason).title,
      values: minutes.map(({ refused }) => refused[reason] ?? 0),
    })),
    ...(rest.length === 0
      ? []
      : [
          {
            name: `${rest.length} other reasons`,
            values: minutes.map(({ refused }) =>
              rest.reduce((sum, reason) => sum + (refused[reason] ?? 0), 0),
            ),
          },
        ]),
  ]
  const sums = series.map(({ values }) => values.reduce((sum, value) => sum + value, 0))
  const empty = sums.every(sum => sum === 0)
  return (
    <Card title="Connects and refusals per minute" aside="the last hour">
      {empty ? (
        <Empty icon="overview" title="No connections in the last hour">
          <p>Each connection that is admitted or refused counts here, with its reason.</p>
        </Empty>
      ) : (
        <>
          <Bars
            label={`Per minute: ${series.map(({ name }, at) => `${name} ${count(sums[at]!)}`).join(', ')} in the last hour`}
            times={minutes.map(({ minute }) => minute)}
            series={series}
          />
          <ul className="legend">
            {series.map(({ name }, at) => (
              <li key={name}>
                <span className={`swatch fill-${(at % 6) + 1}`} aria-hidden="true" />
                {name} <span className="faint number">{count(sums[at]!)}</span>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}

function lastHour(at: string, noted: readonly Minute[]): Minute[] {
  const known = new Map(noted.map(minute => [Date.parse(minute.minute), minute]))
  const current = Math.floor(Date.parse(at) / MINUTE_MS) * MINUTE_MS
  return Array.from({ length: MINUTES }, (_, index) => {
    const start = current - (MINUTES - 1 - index) * MINUTE_MS
    return (
      known.get(start) ?? {
        minute: new Date(start).toISOString(),
        connected: 0,
        disconnected: 0,
        refused: {},
      }
    )
  })
}
