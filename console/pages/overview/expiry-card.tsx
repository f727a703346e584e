// Which certificates end when. Devices renew by themselves from two thirds of a life on; late ones stand out.
import type { Overview } from '../../api/response-types.ts'
import { Card } from '../../components/card.tsx'
import { count, formatDuration } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'

export function ExpiryCard({ certificates }: { certificates: Overview['certificates'] }) {
  const buckets = certificates.expiring.toSorted((one, other) => one.withinSeconds - other.withinSeconds)
  const rows = [
    { name: 'Already expired', value: certificates.expired, tone: 3 },
    ...buckets.map(({ withinSeconds, count: value }, at) => ({
      name: `Within ${formatDuration(withinSeconds * 1_000)}`,
      value,
      tone: at === 0 ? 2 : at === 1 ? 5 : 1,
    })),
  ]
  const { issued = 0, active = 0, superseded = 0 } = certificates.byStatus
  const soon = certificates.expired + (buckets.at(-1)?.count ?? 0)
  rows.push({ name: 'Later', value: Math.max(0, issued + active + superseded - soon), tone: 1 })
  const top = Math.max(1, ...rows.map(({ value }) => value))
  return (
    <Card title="Certificates by time to expiry" aside="those that admit">
      <ul className="stack tight">
        {rows.map(({ name, value, tone }) => (
          <li className="meter" key={name}>
            <span className="small">{name}</span>
            <span className="track">
              <svg aria-hidden="true" viewBox="0 0 100 8" preserveAspectRatio="none">
                <rect
                  className={`fill-${tone}`}
                  width={value === 0 ? 0 : Math.max(1, (value / top) * 100)}
                  height="8"
                />
              </svg>
            </span>
            <span className="number end">{count(value)}</span>
          </li>
        ))}
      </ul>
      <p className="soft small">
        Only a device has its key, so only it renews: from two thirds of a certificate's life on, when the
        event <code>expiring</code> is told, too.{' '}
        <Link to="/devices?expires=30">Those that end within 30 days</Link> are late.
      </p>
    </Card>
  )
}
