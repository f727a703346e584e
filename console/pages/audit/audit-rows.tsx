// Rows of the audit log: actor, change, target, and the hash that chains each row to the one before.
import type { AuditRow } from '../../../client/types.ts'
import { Badge } from '../../components/badge.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { ClockTime } from '../../components/timestamp.tsx'
import { formatDateTime } from '../../labels/formats.ts'

export function AuditRows({ rows }: { rows: readonly AuditRow[] }) {
  return (
    <DataTable
      label="Rows of the audit log"
      layout="stacks"
      rows={rows}
      rowKey={row => row.seq}
      columns={[
        {
          title: 'Row',
          className: 'tight end',
          cellClass: 'faint',
          cell: row => <span title={`hash ${row.hash}`}>{row.seq}</span>,
        },
        { title: 'When', className: 'tight', cell: row => <ClockTime at={row.ts} /> },
        {
          title: 'Actor',
          cellClass: 'break',
          cell: ({ actor, actorKind }) => (
            <>
              {actor} {actorKind === null ? null : <Badge tone="neutral">{actorKind}</Badge>}
            </>
          ),
        },
        {
          title: 'Did',
          cellClass: 'tight',
          cell: ({ action, outcome }) => (
            <>
              <code>{action}</code>{' '}
              {outcome === 'done' || outcome === 'success' || outcome === 'ok' ? null : (
                <Badge tone="neutral">{outcome}</Badge>
              )}
            </>
          ),
        },
        { title: 'To', cellClass: 'break', cell: row => <Target of={row.target} /> },
        {
          title: 'Details',
          className: 'half',
          cellClass: 'small soft break',
          cell: row => <Details row={row} />,
        },
      ]}
    />
  )
}

const SHOWN = 160

function Details({ row }: { row: AuditRow }) {
  const text = [
    row.reason,
    ...Object.entries(row.detail)
      .filter(([name, value]) => !(name === 'id' && value === row.target) && value !== null)
      .map(([name, value]) => `${name} ${shown(value)}`),
  ]
    .filter(Boolean)
    .join(' · ')
  if (text.length <= SHOWN) return text
  return (
    <details>
      <summary>{text.slice(0, SHOWN)}…</summary>
      <p>{text}</p>
    </details>
  )
}

/** Fingerprints and numbers of tokens and jobs are long, and told apart by their beginning. */
function Target({ of }: { of: string }) {
  const long = /^[0-9a-f]{64}$|^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(of)
  if (!long) return of
  return (
    <code className="whole-line" title={of}>
      {of.slice(0, 12)}…
    </code>
  )
}

function shown(value: unknown): string {
  // A time in ms since the epoch: nothing else is that large.
  if (typeof value === 'number' && value > 1e12) return formatDateTime(value)
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(shown).join(', ')
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value)
    return pairs.length === 0 ? 'none' : pairs.map(([name, part]) => `${name}=${shown(part)}`).join(', ')
  }
  return String(value)
}
