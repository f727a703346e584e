// The brokers: who is alive, how many sessions each holds, whether one lags behind the record.
import type { Overview } from '../../api/response-types.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'

export function NodesCard({ nodes }: { nodes: NonNullable<Overview['nodes']> }) {
  return (
    <Card title="Brokers" flush>
      {nodes.length === 0 ? (
        <Empty icon="live" title="No broker is running">
          <p>
            Nobody can connect. Start one beside this service: <code>rollcall broker --data DIR</code>, or{' '}
            <code>rollcall up</code> for both.
          </p>
        </Empty>
      ) : (
        <TableFrame label="Brokers">
          <table className="fits">
            <thead>
              <tr>
                <th>Broker</th>
                <th className="end">Sessions</th>
                <th className="end wide-only">Epoch</th>
                <th>Seen</th>
              </tr>
            </thead>
            <tbody>
              {nodes.map(node => (
                <tr key={node.node}>
                  <th scope="row">
                    <div className="row">
                      {node.node}
                      <Badge tone={node.healthy ? 'good' : 'bad'} dot>
                        {node.healthy ? 'healthy' : 'silent'}
                      </Badge>
                    </div>
                    <div className="faint small">version {node.version}</div>
                  </th>
                  <td className="end">{count(node.sessions)}</td>
                  <td className="end wide-only">
                    {node.epoch}
                    {node.lagSeconds < 1 ? null : (
                      <div className="small">{Math.round(node.lagSeconds)} s behind</div>
                    )}
                  </td>
                  <td>
                    <Timestamp at={node.lastSeen} />
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
