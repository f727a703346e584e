// Devices of a trust anchor that wanted to register themselves and are not on the roll: waiting, or refused with the reason.
import type { Arrival } from '../../../client/issuers.ts'
import { usePages } from '../../api/use-pages.ts'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { reasonLabel } from '../../labels/reasons.ts'

const FRESH_MS = 10_000

export function ArrivalsCard({ path }: { path: string }) {
  const { items, failure, loading, more, fetching, refetch } = usePages<Arrival>(`${path}?limit=50`, {
    everyMs: FRESH_MS,
  })
  return (
    <Card title="Unlisted devices that connected" flush>
      <FailureNotice failure={failure} refetch={refetch} />
      <DataTable
        label="Devices that wanted to register themselves"
        layout="fits"
        rows={items}
        rowKey={({ fingerprint }) => fingerprint}
        loading={loading}
        failure={failure}
        empty={<Empty title="None with a certificate of this CA" />}
        columns={[
          {
            title: 'Certificate',
            rowHeader: true,
            cell: ({ fingerprint }) => <Fingerprint of={fingerprint} />,
          },
          { title: 'From', className: 'wide-only', cell: ({ address }) => address },
          { title: 'When', cell: ({ at }) => <Timestamp at={at} /> },
          {
            title: 'Answer',
            cellClass: 'break',
            cell: ({ decidedAt, reason, detail }) =>
              decidedAt === null ? (
                'looked at soon'
              ) : reason === null ? (
                'registered'
              ) : (
                <>
                  {reasonLabel(reason).title}
                  {detail === null ? null : <div className="faint small">{detail}</div>}
                </>
              ),
          },
        ]}
      />
      <ShowMore more={more} busy={fetching} />
    </Card>
  )
}
