// Rows under column titles. Shows grey lines while the first answer is loading, and a note if there is no row.
import type { ReactNode } from 'react'
import { Skeleton } from './placeholders.tsx'
import { TableFrame } from './table-frame.tsx'

export type Column<Row> = {
  title: ReactNode
  cell: (row: Row) => ReactNode
  /** The class of the title and of each cell. */
  className?: string
  /** A further class of each cell. */
  cellClass?: string
  /** Where a narrow page puts cells below each other, this title stands before the cell. */
  narrowTitle?: string
  /** The cell is the name of its row. */
  rowHeader?: true
}

type DataTableProps<Row> = {
  label: string
  /** On a narrow page: `fits` hides the columns of class wide-only, `stacks` puts the cells of a row below each other. */
  layout?: 'fits' | 'stacks'
  columns: readonly (Column<Row> | null)[]
  rows: readonly Row[]
  rowKey: (row: Row) => string | number
  loading?: boolean
  skeletonLines?: number
  /** Takes the place of a table without rows, unless loading the rows failed. */
  empty?: ReactNode
  failure?: unknown
}

export function DataTable<Row>({
  label,
  layout,
  columns,
  rows,
  rowKey,
  loading = false,
  skeletonLines = 3,
  empty = null,
  failure = null,
}: DataTableProps<Row>) {
  if (loading) return <Skeleton lines={skeletonLines} />
  if (rows.length === 0) return failure === null ? empty : null
  // A column keeps its place in the list, whether or not the ones before it are shown.
  const shown = [...columns.entries()].flatMap(([key, column]) =>
    column === null ? [] : [{ key, ...column }],
  )
  return (
    <TableFrame label={label}>
      <table className={layout}>
        <thead>
          <tr>
            {shown.map(({ key, title, className }) => (
              <th key={key} className={className}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={rowKey(row)}>
              {shown.map(({ key, cell, className = '', cellClass = '', narrowTitle, rowHeader }) => {
                const classes = `${className} ${cellClass}`.trim() || undefined
                return rowHeader ? (
                  <th key={key} scope="row" className={classes}>
                    {cell(row)}
                  </th>
                ) : (
                  <td key={key} className={classes} data-title={narrowTitle}>
                    {cell(row)}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </TableFrame>
  )
}
