// One device: who it is, what it may, why it is or is not let in, and what was done with it.

import { ApiProblem } from '../../../client/failures.ts'
import type { Explanation } from '../../../client/types.ts'
import { useGroup } from '../../api/session.tsx'
import type { ListedDevice } from '../../api/shapes.ts'
import { useAnswer } from '../../api/use-answer.ts'
import { Badge, StateBadge } from '../../parts/badge.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { PageHead } from '../../parts/page-head.tsx'
import { Tabs } from '../../parts/tabs.tsx'
import { Link } from '../../routing/link.tsx'
import { usePlace } from '../../routing/location.ts'
import { AdmissionCard } from './admission-card.tsx'
import { CertificatesView } from './certificates-view.tsx'
import { DeviceActions } from './device-actions.tsx'
import { DeviceAudit } from './device-audit.tsx'
import { EventsCard } from './events-card.tsx'
import { IdentityCard } from './identity-card.tsx'
import { PolicyView } from './policy-view.tsx'
import { RefusalsCard } from './refusals-card.tsx'
import { SessionsCard } from './sessions-card.tsx'

const FRESH_MS = 5_000

export function DevicePage({ id }: { id: string }) {
  const path = `/v1/devices/${encodeURIComponent(id)}`
  const device = useAnswer<ListedDevice>(path, { everyMs: FRESH_MS })
  const explained = useAnswer<Explanation>(device.data === null ? null : `${path}/admission`, {
    everyMs: FRESH_MS,
  })
  const { query } = usePlace()
  const group = useGroup()
  const view = query.get('view') ?? 'summary'
  const again = () => {
    device.again()
    explained.again()
  }

  if (device.failure instanceof ApiProblem && device.failure.status === 404)
    return <Unknown id={id} failure={device.failure} />
  const base = `/devices/${encodeURIComponent(id)}`
  const views = [
    { key: 'summary', title: 'Summary' },
    { key: 'certificates', title: 'Certificates' },
    { key: 'policy', title: 'Policy' },
    ...(group === null ? [{ key: 'audit', title: 'Audit' }] : []),
  ]
  return (
    <>
      <PageHead
        title={id}
        badges={
          device.data === null ? null : (
            <>
              <StateBadge state={device.data.state} />
              {device.data.connected ? (
                <Badge tone="good" dot>
                  connected
                </Badge>
              ) : null}
            </>
          )
        }
        actions={device.data === null ? null : <DeviceActions device={device.data} onChanged={again} />}
      />
      <Tabs
        label="Views of the device"
        tabs={views.map(({ key, title }) => ({
          to: key === 'summary' ? base : `${base}?view=${key}`,
          title,
          current: key === view,
        }))}
      />
      <FailureNotice failure={device.failure} again={device.again} />
      {device.data === null ? (
        <Skeleton lines={6} />
      ) : view === 'certificates' ? (
        <CertificatesView device={device.data} onChanged={again} />
      ) : view === 'policy' ? (
        <PolicyView device={device.data} />
      ) : view === 'audit' && group === null ? (
        <DeviceAudit id={id} />
      ) : (
        <div className="grid wide-narrow">
          <div className="stack">
            <AdmissionCard answer={explained} />
            <SessionsCard id={id} />
            <RefusalsCard answer={explained} />
          </div>
          <div className="stack">
            <IdentityCard device={device.data} onChanged={again} />
            <EventsCard id={id} />
          </div>
        </div>
      )}
    </>
  )
}

function Unknown({ id, failure }: { id: string; failure: ApiProblem }) {
  return (
    <>
      <PageHead title="No such device" />
      <section className="card">
        <Empty icon="devices" title={`${id.slice(0, 128)} is not on the roll`}>
          <p>{failure.message}.</p>
          <p>
            <Link to="/devices">All devices</Link>
          </p>
        </Empty>
      </section>
    </>
  )
}
