// One device: its identity, its rights, the admission decision, and its history.

import { ApiProblem } from '../../../client/failures.ts'
import type { Explanation } from '../../../client/types.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useGroup } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { Link } from '../../routing/link.tsx'
import { useRoute } from '../../routing/location.ts'
import { AdmissionCard } from './admission-card.tsx'
import { CertificatesView } from './certificates-view.tsx'
import { DenialsCard } from './denials-card.tsx'
import { DeviceActions } from './device-actions.tsx'
import { DeviceAudit } from './device-audit.tsx'
import { EventsCard } from './events-card.tsx'
import { IdentityCard } from './identity-card.tsx'
import { LastSeenCard } from './last-seen-card.tsx'
import { PolicyView } from './policy-view.tsx'
import { RefusalsCard } from './refusals-card.tsx'
import { SessionsCard } from './sessions-card.tsx'
import { TpmCard } from './tpm-card.tsx'

const FRESH_MS = 5_000

export function DevicePage({ id }: { id: string }) {
  const path = `/v1/devices/${encodeURIComponent(id)}`
  const device = useQuery<ListedDevice>(path, { everyMs: FRESH_MS })
  const explained = useQuery<Explanation>(device.data === null ? null : `${path}/admission`, {
    everyMs: FRESH_MS,
  })
  const { query } = useRoute()
  const group = useGroup()
  const view = query.get('view') ?? 'summary'
  const refetch = () => {
    device.refetch()
    explained.refetch()
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
      <PageHeader
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
        actions={device.data === null ? null : <DeviceActions device={device.data} onChanged={refetch} />}
      />
      <Tabs
        label="Views of the device"
        tabs={views.map(({ key, title }) => ({
          to: key === 'summary' ? base : `${base}?view=${key}`,
          title,
          current: key === view,
        }))}
      />
      <FailureNotice failure={device.failure} refetch={device.refetch} />
      {device.data === null ? (
        <Skeleton lines={6} />
      ) : view === 'certificates' ? (
        <CertificatesView device={device.data} onChanged={refetch} />
      ) : view === 'policy' ? (
        <PolicyView device={device.data} />
      ) : view === 'audit' && group === null ? (
        <DeviceAudit id={id} />
      ) : (
        <div className="grid wide-narrow">
          <div className="stack">
            <AdmissionCard answer={explained} />
            <SessionsCard id={id} />
            <LastSeenCard seen={device.data.lastSeen} />
            <DenialsCard id={id} answer={explained} />
            <RefusalsCard answer={explained} />
          </div>
          <div className="stack">
            <IdentityCard device={device.data} onChanged={refetch} />
            <TpmCard id={id} />
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
      <PageHeader title="No such device" />
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
