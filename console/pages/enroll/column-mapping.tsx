// Which column of a file stands for what. What the names say is filled in; the rest become attributes.

import { TableFrame } from '../../components/table-frame.tsx'
import { type Columns, fields } from './csv-columns.ts'

export function ColumnMapping({
  columns,
  onChange,
}: {
  columns: Columns
  onChange: (columns: Columns) => void
}) {
  if (columns.length === 0) return <p className="small soft">The file has no header line.</p>
  const set = (at: number, field: string) =>
    onChange(columns.map((column, index) => (index === at ? { ...column, field } : column)))
  return (
    <TableFrame label="Columns">
      <table className="fits">
        <thead>
          <tr>
            <th>Column</th>
            <th className="wide-only">First row</th>
            <th>Stands for</th>
          </tr>
        </thead>
        <tbody>
          {columns.map(({ name, field, sample }, at) => {
            const attribute = `attr.${name.replace(/^attr\./, '').replace(/[^A-Za-z0-9._-]+/g, '-') || 'column'}`
            const choices = [...new Set([field, ...fields, attribute])]
            return (
              <tr key={name}>
                <th scope="row" className="break">
                  {name}
                </th>
                <td className="faint break wide-only">
                  {sample.length > 60 ? `${sample.slice(0, 60)}…` : sample}
                </td>
                <td>
                  <select
                    aria-label={`Column ${name} stands for`}
                    value={field}
                    onChange={event => set(at, event.target.value)}
                  >
                    {choices.map(choice => (
                      <option key={choice}>{choice}</option>
                    ))}
                  </select>
                </td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </TableFrame>
  )
}
