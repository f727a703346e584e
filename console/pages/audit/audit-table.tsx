// The audit log page by page, the newest first.
import type { AuditRow } from '../../../client/types.ts'
import { query } from '../../api/call.ts'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { AuditRows } from './audit-rows.tsx'

const PAGE_SIZE = 50

export function AuditTable({ filter, empty }: { filter: Record<string, string | null>; empty: string }) {
  const { items, failure, waiting, more, fetching, again } = usePages<AuditRow>(
    `/v1/audit${query({ ...filter, limit: PAGE_SIZE })}`,
  )
  return (
    <>
      <FailureNotice failure={failure} again={again} />
      <Card title="What was done" aside="newest first" flush>
        {waiting ? <Skeleton lines={6} /> : null}
        {!waiting && items.length === 0 && failure === null ? <Empty icon="audit" title={empty} /> : null}
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
