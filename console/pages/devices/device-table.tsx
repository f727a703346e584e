// Rows of devices. Whatever a device says of itself stands there as text.
import type { ListedDevice } from '../../api/response-types.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'

const TAGS_SHOWN = 4

export function DeviceTable({
  devices,
  chosen,
  onChoose,
}: {
  devices: readonly ListedDevice[]
  /** Null where nothing can be chosen. */
  chosen: ReadonlySet<string> | null
  onChoose: (ids: ReadonlySet<string>) => void
}) {
  const all = chosen !== null && devices.every(({ id }) => chosen.has(id))
  const toggle = (id: string) => {
    const next = new Set(chosen)
    if (!next.delete(id)) next.add(id)
    onChoose(next)
  }
  return (
    <TableFrame label="Devices">
      <table className="fits">
        <thead>
          <tr>
            {chosen === null ? null : (
              <th className="tight">
                <input
                  type="checkbox"
                  aria-label="Choose every device shown"
                  checked={all}
                  onChange={() => onChoose(all ? new Set() : new Set(devices.map(({ id }) => id)))}
                />
              </th>
            )}
            <th>Device</th>
            <th className="tight">State</th>
            <th className="tight">Last seen</th>
            <th className="wide-only">Groups and attributes</th>
            <th className="tight wide-only">Changed</th>
          </tr>
        </thead>
        <tbody>
          {devices.map(device => (
            <tr key={device.id} className="choosable" aria-selected={chosen?.has(device.id) || undefined}>
              {chosen === null ? null : (
                <td className="tight">
                  <input
                    type="checkbox"
                    aria-label={`Choose ${device.id}`}
                    checked={chosen.has(device.id)}
                    onChange={() => toggle(device.id)}
                  />
                </td>
              )}
              <th scope="row">
                <Link to={`/devices/${encodeURIComponent(device.id)}`}>{device.id}</Link>
              </th>
              <td className="tight">
                <StateBadge state={device.state} />
              </td>
              <td className="tight">
                {device.connected ? (
                  <Badge tone="good" dot>
                    connected
                  </Badge>
                ) : (
                  <span className="faint">
                    <Timestamp at={device.lastSeen?.disconnectedAt} />
                  </span>
                )}
              </td>
              <td className="wide-only">
                <Tags device={device} />
              </td>
              <td className="tight faint wide-only">
                <Timestamp at={device.updatedAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  )
}

function Tags({ device }: { device: ListedDevice }) {
  const tags = [
    ...device.groups.map(group => ({ key: `g ${group}`, text: group })),
    ...Object.entries(device.attributes).map(([name, value]) => ({
      key: `a ${name}`,
      text: `${name}:${value}`,
    })),
  ]
  if (tags.length === 0) return <span className="faint">–</span>
  return (
    <div className="tags">
      {tags.slice(0, TAGS_SHOWN).map(({ key, text }) => (
        <span className="tag" key={key}>
          {text.length > 48 ? `${text.slice(0, 47)}…` : text}
        </span>
      ))}
      {tags.length > TAGS_SHOWN ? <span className="faint small">+{tags.length - TAGS_SHOWN}</span> : null}
    </div>
  )
}
