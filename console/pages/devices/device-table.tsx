// Rows of devices, sorted by the column that was clicked, and moved through by keys. Whatever a device says of itself stands there as
// text.
import type { ListedDevice } from '../../api/response-types.ts'
import { TableFrame } from '../../components/table-frame.tsx'
import { Link } from '../../routing/link.tsx'
import { navigate, useRoute, withQuery } from '../../routing/location.ts'
import { type DeviceColumn, shownColumns } from './device-columns.tsx'
import { useListKeys } from './use-list-keys.ts'

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
  const route = useRoute()
  const columns = shownColumns(route.query.get('columns'))
  const all = chosen !== null && devices.every(({ id }) => chosen.has(id))
  const toggle = (id: string) => {
    const next = new Set(chosen)
    if (!next.delete(id)) next.add(id)
    onChoose(next)
  }
  const body = useListKeys(chosen === null ? null : toggle)
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
            <SortHeading column={{ title: 'Device', sort: 'id', className: '' }} />
            {columns.map(column => (
              <SortHeading key={column.key} column={column} />
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {devices.map(device => (
            <tr
              key={device.id}
              className="choosable"
              data-id={device.id}
              aria-selected={chosen?.has(device.id) || undefined}
            >
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
              {columns.map(({ key, className, cell }) => (
                <td key={key} className={className}>
                  {cell(device)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  )
}

/** One click sorts by the column, another the other way round. */
function SortHeading({
  column: { title, sort, className, descendingFirst },
}: {
  column: Pick<DeviceColumn, 'title' | 'sort' | 'className' | 'descendingFirst'>
}) {
  const route = useRoute()
  if (sort === undefined) return <th className={className}>{title}</th>
  const current = route.query.get('sort') ?? 'id'
  const order = current === sort ? 'ascending' : current === `-${sort}` ? 'descending' : null
  const first = descendingFirst ? `-${sort}` : sort
  const next = order === null ? first : order === 'ascending' ? `-${sort}` : sort
  const sortBy = () => navigate(withQuery(route, { sort: next === 'id' ? null : next }), { replace: true })
  return (
    <th className={className} aria-sort={order ?? 'none'}>
      <button type="button" className="sort" onClick={sortBy}>
        {title}
        <span aria-hidden="true">{order === null ? '' : order === 'ascending' ? ' ↑' : ' ↓'}</span>
      </button>
    </th>
  )
}
