// The numbers to see first, each a way to what stands behind it.
import type { Overview } from '../../api/response-types.ts'
import { count, many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'

const RECENT_MINUTES = 5

export function OverviewTiles({ overview }: { overview: Overview }) {
  const { at, devices, connected, perMinute, waitingApproval, jobs } = overview
  const total = devices.registered + devices.active + devices.suspended + devices.decommissioned
  const since = Date.parse(at) - RECENT_MINUTES * 60_000
  const recent = (perMinute ?? []).filter(({ minute }) => Date.parse(minute) > since)
  const refused = recent.reduce(
    (sum, { refused }) => sum + Object.values(refused).reduce((all, one) => all + one, 0),
    0,
  )
  const tiles = [
    {
      to: '/devices?connected=true',
      name: 'Connected now',
      value: connected,
      more: `of ${count(devices.active)} active`,
    },
    {
      to: '/devices',
      name: 'Devices',
      value: total,
      more: `${count(devices.registered)} never connected yet`,
    },
    {
      to: '/devices?state=suspended',
      name: 'Suspended',
      value: devices.suspended,
      more: `${count(devices.decommissioned)} decommissioned`,
      tone: devices.suspended > 0 ? 'warn' : '',
    },
    {
      to: '/live?kind=refused',
      name: 'Refused',
      value: refused,
      more: `in the last ${RECENT_MINUTES} minutes`,
      tone: refused > 0 ? 'bad' : '',
    },
    {
      to: '/approvals',
      name: 'Waiting for approval',
      value: waitingApproval,
      more:
        jobs !== null && jobs.running > 0 ? `${many(jobs.running, 'import')} running` : 'no import running',
      tone: waitingApproval > 0 ? 'warn' : '',
    },
  ]
  return (
    <div className="tiles">
      {tiles.map(({ to, name, value, more, tone = '' }) => (
        <Link key={name} to={to} className={`tile ${tone}`}>
          <span className="name">{name}</span>
          <span className="value">{count(value)}</span>
          <span className="more">{more}</span>
        </Link>
      ))}
    </div>
  )
}
