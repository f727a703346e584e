// The brokers: who is alive, how many sessions each holds, whether one lags behind the record.
import type { Overview } from '../../api/shapes.ts'
import { Badge } from '../../parts/badge.tsx'
import { Card } from '../../parts/card.tsx'
import { Empty } from '../../parts/empty.tsx'
import { Moment } from '../../parts/moment.tsx'
import { TableFrame } from '../../parts/table-frame.tsx'
import { count } from '../../words/numbers.ts'

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
                    <Moment at={node.lastSeen} />
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
