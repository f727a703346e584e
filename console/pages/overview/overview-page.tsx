// How the fleet is now, on one page: connected devices, refusals with reasons, expiry, brokers that are behind.
import type { Overview } from '../../api/response-types.ts'
import { useGroup } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { CaCard } from './ca-card.tsx'
import { ChangesCard } from './changes-card.tsx'
import { ExpiryCard } from './expiry-card.tsx'
import { FirstSteps } from './first-steps.tsx'
import { HistorySection } from './history-section.tsx'
import { NodesCard } from './nodes-card.tsx'
import { OverviewTiles } from './overview-tiles.tsx'
import { ReceiptsCard } from './receipts-card.tsx'

const FRESH_MS = 3_000

export function OverviewPage() {
  const { data, failure, loading, refetch } = useQuery<Overview>('/v1/overview', { everyMs: FRESH_MS })
  // Asked for beside the overview, not after it.
  const whole = useGroup() === null
  const total = data === null ? 0 : Object.values(data.devices).reduce((sum, count) => sum + count, 0)
  return (
    <>
      <PageHeader
        title="Overview"
        actions={
          data === null ? null : (
            <span className="faint small">
              as of <Timestamp at={data.at} />
            </span>
          )
        }
      />
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton lines={10} /> : null}
      {data === null ? null : (
        <>
          {total === 0 ? <FirstSteps /> : null}
          <OverviewTiles overview={data} />
        </>
      )}
      {whole ? <HistorySection /> : null}
      {data === null ? null : (
        <div className="card-columns">
          {data.nodes === null ? null : <NodesCard nodes={data.nodes} refetch={refetch} />}
          <ExpiryCard certificates={data.certificates} />
          {data.ca === null ? null : <CaCard ca={data.ca} />}
          {data.ca === null ? null : <ChangesCard />}
          <ReceiptsCard receipts={data.receipts} />
        </div>
      )}
    </>
  )
}
