// Events in rows. What strangers called themselves stands there as text.
import type { EventRow } from '../../api/response-types.ts'
import { Badge } from '../../components/badge.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { ClockTime } from '../../components/timestamp.tsx'
import { describeEvent, eventTone } from '../../labels/events.ts'
import { Link } from '../../routing/link.tsx'

export function EventTable({ rows }: { rows: readonly EventRow[] }) {
  return (
    <TableFrame label="Events">
      <table className="stacks">
        <thead>
          <tr>
            <th className="tight">When</th>
            <th className="tight">Event</th>
            <th>Device</th>
            <th>What happened</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={row.seq}>
              <td className="tight">
                <ClockTime at={row.at} />
              </td>
              <td className="tight">
                <Badge tone={eventTone(row.kind)}>{row.kind}</Badge>
              </td>
              <td className="break">
                {row.deviceId === null ? (
                  row.fingerprint === null ? (
                    <span className="faint">a stranger</span>
                  ) : (
                    <code className="whole-line" title={row.fingerprint}>
                      {row.fingerprint.slice(0, 12)}…
                    </code>
                  )
                ) : (
                  <Link to={`/devices/${encodeURIComponent(row.deviceId)}`}>{row.deviceId}</Link>
                )}
              </td>
              <td className="soft break">
                {describeEvent(row)}
                {row.reason === null ? null : (
                  <>
                    {' '}
                    <code className="faint">{row.reason}</code>
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  )
}
