// The last changes that cut sessions: the nodes that acted on them, the sessions cut, the time it took.
import type { ChangeKind } from '../../../db/change-kind.ts'
import type { Overview } from '../../api/response-types.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'

const kindLabels: Record<ChangeKind, string> = {
  certificate: 'certificate',
  device: 'device',
  issuer: 'issuer',
  policy: 'policy',
  session: 'session ended',
  stored_session: 'session ended and cleared',
  retained: 'retained message cleared',
}

export function ReceiptsCard({ receipts: all }: { receipts: Overview['receipts'] }) {
  // A change of a policy or an issuer is worth a line where it cut somebody.
  const receipts = all.filter(
    ({ kind, sessionsCut }) => kind === 'certificate' || kind === 'device' || sessionsCut > 0,
  )
  return (
    <Card title="Receipts" aside="of what was cut last" flush>
      <p className="inside soft small">
        After a change that may cut sessions, each broker acts on it and acknowledges it. A receipt tells how
        many did, how many sessions they cut, and how long the last of them took.
      </p>
      <DataTable
        label="Receipts"
        layout="fits"
        rows={receipts.slice(0, 8)}
        rowKey={receipt => receipt.epoch}
        empty={
          <Empty icon="cut" title="Nothing was cut yet">
            <p>
              Revoke or suspend, and the receipt says which broker acted when, and how many sessions it cut.
            </p>
          </Empty>
        }
        columns={[
          { title: 'What', cellClass: 'break', cell: receipt => <Target receipt={receipt} /> },
          {
            title: 'Brokers',
            className: 'end',
            cell: ({ nodesAcknowledged, nodesTotal }) => {
              const text = `${nodesAcknowledged} of ${nodesTotal}`
              return nodesAcknowledged < nodesTotal ? <Badge tone="warn">{text}</Badge> : text
            },
          },
          { title: 'Cut', className: 'end', cell: receipt => count(receipt.sessionsCut) },
          {
            title: 'Took',
            className: 'end wide-only',
            cellClass: 'whole-line',
            cell: ({ milliseconds }) => (milliseconds === null ? '–' : `${count(milliseconds)} ms`),
          },
          { title: 'When', cellClass: 'tight', cell: receipt => <Timestamp at={receipt.at} /> },
        ]}
      />
    </Card>
  )
}

function Target({
  receipt: { kind, deviceId, fingerprint, issuerId },
}: {
  receipt: Overview['receipts'][number]
}) {
  const other = issuerId ?? fingerprint
  return (
    <>
      {kindLabels[kind]}{' '}
      {deviceId === null ? (
        other === null ? null : (
          <code title={other}>{other.slice(0, 12)}…</code>
        )
      ) : (
        <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>
      )}
    </>
  )
}
