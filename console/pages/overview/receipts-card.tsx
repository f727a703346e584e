// The last changes that cut somebody: who acted on them, how many sessions went, how long it took.
import type { Overview } from '../../api/response-types.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'

export function ReceiptsCard({ receipts: all }: { receipts: Overview['receipts'] }) {
  // A change of a policy or an issuer is worth a line where it cut somebody.
  const receipts = all.filter(
    ({ kind, sessionsCut }) => kind === 'certificate' || kind === 'device' || sessionsCut > 0,
  )
  return (
    <Card title="Receipts" aside="of what was cut last" flush>
      {receipts.length === 0 ? (
        <Empty icon="cut" title="Nothing was cut yet">
          <p>
            Revoke or suspend, and the receipt says which broker acted when, and how many sessions it cut.
          </p>
        </Empty>
      ) : (
        <TableFrame label="Receipts">
          <table className="fits">
            <thead>
              <tr>
                <th>What</th>
                <th className="end">Brokers</th>
                <th className="end">Cut</th>
                <th className="end wide-only">Took</th>
                <th>When</th>
              </tr>
            </thead>
            <tbody>
              {receipts.slice(0, 8).map(receipt => (
                <tr key={receipt.epoch}>
                  <td className="break">
                    <Target receipt={receipt} />
                  </td>
                  <td className="end">
                    {receipt.nodesAcknowledged < receipt.nodesTotal ? (
                      <Badge tone="warn">
                        {receipt.nodesAcknowledged} of {receipt.nodesTotal}
                      </Badge>
                    ) : (
                      `${receipt.nodesAcknowledged} of ${receipt.nodesTotal}`
                    )}
                  </td>
                  <td className="end">{count(receipt.sessionsCut)}</td>
                  <td className="end wide-only whole-line">
                    {receipt.milliseconds === null ? '–' : `${count(receipt.milliseconds)} ms`}
                  </td>
                  <td className="tight">
                    <Timestamp at={receipt.at} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </TableFrame>
      )}
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
      {kind}{' '}
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
