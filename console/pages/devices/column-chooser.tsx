// Which columns a list of devices shows; part of the address, so that a list can be sent to somebody.
import { navigate, useRoute, withQuery } from '../../routing/location.ts'
import { columnsShown, deviceColumns, shownColumns } from './device-columns.tsx'

export function ColumnChooser() {
  const route = useRoute()
  const shown = shownColumns(route.query.get('columns')).map(({ key }) => key)
  const toggle = (key: string) => {
    const next = deviceColumns
      .map(column => column.key)
      .filter(one => (one === key ? !shown.includes(one) : shown.includes(one)))
    const text = next.join(',')
    navigate(withQuery(route, { columns: text === columnsShown.join(',') ? null : text || 'none' }), {
      replace: true,
    })
  }
  return (
    <details className="columns">
      <summary>Columns</summary>
      <fieldset>
        <legend className="hidden-from-sight">Columns of the list</legend>
        {deviceColumns.map(({ key, title }) => (
          <label className="check" key={key}>
            <input type="checkbox" checked={shown.includes(key)} onChange={() => toggle(key)} />
            {title}
          </label>
        ))}
      </fieldset>
    </details>
  )
}
