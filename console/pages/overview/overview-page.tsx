// How the fleet is now, on one page: who is connected, who is refused and why, what expires, which broker is behind.
import type { Overview } from '../../api/shapes.ts'
import { useAnswer } from '../../api/use-answer.ts'
import { Skeleton } from '../../parts/empty.tsx'
import { Moment } from '../../parts/moment.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { PageHead } from '../../parts/page-head.tsx'
import { CaCard } from './ca-card.tsx'
import { ExpiryCard } from './expiry-card.tsx'
import { FirstSteps } from './first-steps.tsx'
import { MinutesCard } from './minutes-card.tsx'
import { NodesCard } from './nodes-card.tsx'
import { OverviewTiles } from './overview-tiles.tsx'
import { ReceiptsCard } from './receipts-card.tsx'

const FRESH_MS = 3_000

export function OverviewPage() {
  const { data, failure, waiting, again } = useAnswer<Overview>('/v1/overview', { everyMs: FRESH_MS })
  const total = data === null ? 0 : Object.values(data.devices).reduce((sum, count) => sum + count, 0)
  return (
    <>
      <PageHead
        title="Overview"
        actions={
          data === null ? null : (
            <span className="faint small">
              as of <Moment at={data.at} />
            </span>
          )
        }
      />
      <FailureNotice failure={failure} again={again} />
      {waiting ? <Skeleton lines={10} /> : null}
      {data === null ? null : (
        <>
          {total === 0 ? <FirstSteps /> : null}
          <OverviewTiles overview={data} />
          {data.perMinute === null ? null : <MinutesCard at={data.at} minutes={data.perMinute} />}
          <div className="grid two">
            <ExpiryCard certificates={data.certificates} />
            {data.ca === null ? null : <CaCard ca={data.ca} />}
          </div>
          <div className="grid two">
            {data.nodes === null ? null : <NodesCard nodes={data.nodes} />}
            <ReceiptsCard receipts={data.receipts} />
          </div>
        </>
      )}
    </>
  )
}
