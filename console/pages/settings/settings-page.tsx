// The installation: the last backup, and the settings that services run with.
import { useState } from 'react'
import type { RunningSettings } from '../../../client/installation.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { BackupCard } from './backup-card.tsx'

type Service = RunningSettings['services'][number]

export function SettingsPage() {
  const may = useMay('operator')
  const whole = useGroup() === null
  return (
    <>
      <PageHeader
        title="Settings"
        lead="What the services run with. Settings are changed in rollcall.yaml, the environment or flags, and hold from the next start."
      />
      {may && whole ? (
        <>
          <BackupCard />
          <Settings />
        </>
      ) : (
        <section className="card">
          <Empty icon="settings" title="Settings are shown to the role operator">
            <p>Of an operator that is bound to no group.</p>
          </Empty>
        </section>
      )}
    </>
  )
}

function Settings() {
  const { data, failure, refetch } = useQuery<RunningSettings>('/v1/settings')
  const [changed, setChanged] = useState(false)
  return (
    <>
      <FailureNotice failure={failure} refetch={refetch} />
      {data === null && failure === null ? <Skeleton lines={6} /> : null}
      <label className="check">
        <input type="checkbox" checked={changed} onChange={event => setChanged(event.target.checked)} />
        Only what is not the default
      </label>
      {data?.services.map(service => (
        <ServiceCard key={service.service} service={service} changed={changed} />
      ))}
    </>
  )
}

const titles = { provisioning: 'Provisioning service', broker: 'Broker' } as const

function ServiceCard({ service, changed }: { service: Service; changed: boolean }) {
  const title = titles[service.service]
  return (
    <Card
      title={title}
      flush
      aside={
        <span className="small soft">
          started <Timestamp at={service.startedAt} />
        </span>
      }
    >
      <DataTable
        label={`Settings: ${title}`}
        layout="stacks"
        rows={changed ? service.settings.filter(({ from }) => from !== 'default') : service.settings}
        rowKey={({ name }) => name}
        empty={<Empty icon="settings" title="Everything is at its default" />}
        columns={[
          { title: 'Setting', rowHeader: true, cellClass: 'break mono small', cell: ({ name }) => name },
          {
            title: 'Value',
            cellClass: 'break',
            cell: ({ value }) =>
              value === null || value === '' ? <span className="faint">none</span> : String(value),
          },
          {
            title: 'From',
            cellClass: 'break',
            cell: ({ from, source }) => (source === null ? <span className="faint">{from}</span> : source),
          },
        ]}
      />
    </Card>
  )
}
