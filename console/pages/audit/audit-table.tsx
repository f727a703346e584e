// The audit log page by page, the newest first.
import type { AuditRow } from '../../../client/types.ts'
import { query } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { AuditRows } from './audit-rows.tsx'

const PAGE_SIZE = 50

export function AuditTable({ filter, empty }: { filter: Record<string, string | null>; empty: string }) {
  const { items, failure, loading, more, fetching, refetch } = usePages<AuditRow>(
    `/v1/audit${query({ ...filter, limit: PAGE_SIZE })}`,
  )
  return (
    <>
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="What was done" aside="newest first" flush>
        {loading ? <Skeleton lines={6} /> : null}
        {!loading && items.length === 0 && failure === null ? <Empty icon="audit" title={empty} /> : null}
        {items.length === 0 ? null : <AuditRows rows={items} />}
        {more === null ? null : (
          <div className="table-foot">
            <span className="small faint">There is more.</span>
            <Button onClick={more} busy={fetching}>
              Show {PAGE_SIZE} more
            </Button>
          </div>
        )}
      </Card>
    </>
  )
}
