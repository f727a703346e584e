// What changed in the last 24 hours: how often each kind of change happened, and the last ones that people made.

import type { History } from '../../../client/events.ts'
import type { AuditRow, Page } from '../../../client/types.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ClockTime } from '../../components/timestamp.tsx'
import { eventTone } from '../../labels/events.ts'
import { count } from '../../labels/formats.ts'
import { humanize } from '../../labels/reasons.ts'
import { Link } from '../../routing/link.tsx'

const FRESH_MS = 10_000
const SHOWN = 6

export function ChangesCard() {
  const { data } = useQuery<History>('/v1/history?span=day', { everyMs: FRESH_MS })
  const audit = useQuery<Page<AuditRow>>(`/v1/audit?actorKind=token&limit=${SHOWN}`, { everyMs: FRESH_MS })
  const sums = new Map<string, number>()
  for (const { changes } of data?.periods ?? [])
    for (const [kind, value] of Object.entries(changes)) sums.set(kind, (sums.get(kind) ?? 0) + value)
  const shown = [...sums].filter(([, value]) => value > 0)
  return (
    <Card title="Changed" aside="in the last 24 hours" flush>
      <div className="inside row">
        {shown.length === 0 ? (
          <span className="soft small">No device or certificate changed its state.</span>
        ) : null}
        {shown.map(([kind, value]) => (
          <Link key={kind} to={`/live?kind=${kind}`}>
            <Badge tone={eventTone(kind)}>
              {humanize(kind)} {count(value)}
            </Badge>
          </Link>
        ))}
      </div>
      <FailureNotice failure={audit.failure} refetch={audit.refetch} />
      <DataTable
        label="The last changes that people made"
        layout="fits"
        loading={audit.loading}
        failure={audit.failure}
        rows={audit.data?.items ?? []}
        rowKey={row => row.seq}
        empty={
          <Empty icon="audit" title="No operator has changed anything yet">
            <p>Changes with an API token stand here; the audit log has all of them.</p>
          </Empty>
        }
        columns={[
          { title: 'Last by operators', cellClass: 'break', cell: row => <code>{row.action}</code> },
          { title: 'To', cellClass: 'break', cell: ({ target }) => shortened(target ?? '–') },
          { title: 'By', cellClass: 'break', className: 'wide-only', cell: ({ actor }) => actor },
          { title: 'When', className: 'tight', cell: ({ ts }) => <ClockTime at={ts} /> },
        ]}
      />
    </Card>
  )
}

const TARGET_CHARACTERS = 14

function shortened(text: string) {
  return text.length <= TARGET_CHARACTERS ? (
    text
  ) : (
    <span title={text}>{text.slice(0, TARGET_CHARACTERS)}…</span>
  )
}
