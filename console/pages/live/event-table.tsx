// Events in rows. What strangers called themselves stands there as text.
import type { EventRow } from '../../api/shapes.ts'
import { Badge } from '../../parts/badge.tsx'
import { Stamp } from '../../parts/moment.tsx'
import { TableFrame } from '../../parts/table-frame.tsx'
import { Link } from '../../routing/link.tsx'
import { eventTone, toldOf } from '../../words/events.ts'

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
                <Stamp at={row.at} />
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
                {toldOf(row)}
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
