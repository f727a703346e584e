// Events in rows. What strangers called themselves stands there as text.
import type { FleetEvent } from '../../../client/events.ts'
import { Badge } from '../../components/badge.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { ClockTime } from '../../components/timestamp.tsx'
import { describeEvent, eventTone } from '../../labels/events.ts'
import { Link } from '../../routing/link.tsx'

export function EventTable({ rows }: { rows: readonly FleetEvent[] }) {
  return (
    <DataTable
      label="Events"
      layout="stacks"
      rows={rows}
      rowKey={row => row.seq}
      columns={[
        { title: 'When', className: 'tight', cell: row => <ClockTime at={row.at} /> },
        {
          title: 'Event',
          className: 'tight',
          cell: ({ kind }) => <Badge tone={eventTone(kind)}>{kind}</Badge>,
        },
        { title: 'Device', cellClass: 'break', cell: row => <Source of={row} /> },
        {
          title: 'What happened',
          cellClass: 'soft break',
          cell: row => (
            <>
              {describeEvent(row)}
              {row.reason === null ? null : (
                <>
                  {' '}
                  <code className="faint">{row.reason}</code>
                </>
              )}
            </>
          ),
        },
      ]}
    />
  )
}

function Source({ of: { deviceId, fingerprint } }: { of: FleetEvent }) {
  if (deviceId !== null) return <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>
  if (fingerprint === null) return <span className="faint">a stranger</span>
  return (
    <code className="whole-line" title={fingerprint}>
      {fingerprint.slice(0, 12)}…
    </code>
  )
}
