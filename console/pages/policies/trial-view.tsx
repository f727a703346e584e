// Rights that would be lost: the document tried on every device, before it is saved.
import { useState } from 'react'
import type { PolicyLoss, PolicyTrial } from '../../../client/policy-types.ts'
import { change } from '../../api/request.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { count, many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import type { DraftValidation } from './draft.ts'
import { LimitsLine } from './limits-line.tsx'

const DEVICES_SHOWN = 50

export function TrialView({
  name,
  validation,
  changed,
}: {
  name: string
  validation: DraftValidation
  changed: boolean
}) {
  const [said, setSaid] = useState<PolicyTrial | null>(null)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const run = async () => {
    setBusy(true)
    setFailure(null)
    try {
      const asked = { document: validation.document, limit: DEVICES_SHOWN }
      setSaid(
        await change<PolicyTrial>('POST', `/v1/policies/${encodeURIComponent(name)}/simulate/fleet`, asked),
      )
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Card
      title="Effect on the fleet"
      aside={
        <Button
          small
          look="primary"
          busy={busy}
          disabled={validation.document === null}
          onClick={() => void run()}
        >
          {busy ? 'Trying it on every device…' : `Try the ${changed ? 'draft' : 'document'} on the fleet`}
        </Button>
      }
    >
      <FailureNotice failure={failure} />
      {validation.document === null ? (
        <Notice tone="warn" title="The draft has faults. Mend them under Document first." />
      ) : null}
      {said === null ? (
        <Empty icon="policies" title="Nothing was tried yet">
          <p>
            The trial binds the document to every device that the policy holds for, and names each filter that
            somebody would lose or gain, and each live subscription that would be dropped. It changes nothing.
          </p>
        </Empty>
      ) : (
        <TrialResult trial={said} />
      )}
    </Card>
  )
}

function TrialResult({ trial }: { trial: PolicyTrial }) {
  return (
    <div className="stack">
      <div className="row" role="status">
        <Badge tone={trial.devicesLosing > 0 ? 'bad' : 'good'}>
          {many(trial.devicesLosing, 'device')} would lose something
        </Badge>
        <Badge tone="info">{many(trial.devicesGaining, 'device')} would gain something</Badge>
        <Badge tone={trial.subscriptionsLost > 0 ? 'bad' : 'neutral'}>
          {many(trial.subscriptionsLost, 'live subscription')} dropped
        </Badge>
        <span className="faint small">of {many(trial.devicesTotal, 'device')}</span>
      </div>
      <DataTable
        label="Devices that would lose or gain"
        rows={trial.items}
        rowKey={item => item.deviceId}
        columns={[
          {
            title: 'Device',
            rowHeader: true,
            cell: ({ deviceId, complete, connected }) => (
              <>
                <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>
                {complete ? null : <div className="small faint">listed in part</div>}
                {connected ? <div className="small faint">connected</div> : null}
              </>
            ),
          },
          { title: 'Loses', cell: item => <Filters of={item.lost} /> },
          { title: 'Gains', cell: item => <Filters of={item.gained} /> },
          {
            title: 'Limits',
            cell: item =>
              item.limits === null ? <span className="faint">–</span> : <LimitsLine of={item.limits} />,
          },
          {
            title: 'Live subscriptions dropped',
            cell: item =>
              item.subscriptionsLost.map(filter => (
                <div key={filter}>
                  <code className="break">{filter}</code>
                </div>
              )),
          },
        ]}
      />
      {trial.truncated ? (
        <p className="small faint">
          The first {count(trial.items.length)}; devices that lose something come first.
        </p>
      ) : null}
    </div>
  )
}

/** What is lost of one filter stands in one line. */
function Filters({ of }: { of: readonly PolicyLoss[] }) {
  if (of.length === 0) return <span className="faint">–</span>
  const byFilter = Map.groupBy(of, ({ filter, extent }) => `${extent} ${filter}`)
  return [...byFilter].map(([key, [first, ...more]]) => (
    <div key={key} className="break">
      {[first!, ...more].map(({ action }) => action).join(', ')} <code>{first!.filter}</code>
      {first!.extent === 'part' ? <span className="faint"> in part</span> : null}
    </div>
  ))
}
