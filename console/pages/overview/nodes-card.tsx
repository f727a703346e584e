// The brokers: which are alive, how many sessions each holds, whether one lags behind the registry.
import { useState } from 'react'
import type { Overview } from '../../api/response-types.ts'
import { useMay } from '../../api/session.tsx'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { DrainDialog, ResumeDialog } from './drain-dialog.tsx'

type Node = NonNullable<Overview['nodes']>[number]

/** What the broker last said of the other machines. */
function Links({ replica, busConnected }: Pick<Node, 'replica' | 'busConnected'>) {
  if (replica === null && busConnected === null) return null
  return (
    <div className="row small">
      {replica === null ? null : (
        <span>
          replica {count(replica.behind)} behind, {replica.ageSeconds.toFixed(1)} s old
        </span>
      )}
      {busConnected === null ? null : (
        <Badge tone={busConnected ? 'good' : 'bad'} dot>
          {busConnected ? 'bus connected' : 'bus not connected'}
        </Badge>
      )}
    </div>
  )
}

export function NodesCard({
  nodes,
  refetch,
}: {
  nodes: NonNullable<Overview['nodes']>
  refetch: () => void
}) {
  const [asked, setAsked] = useState<Node | null>(null)
  const may = useMay('operator')
  const Ask = asked?.drain === null ? DrainDialog : ResumeDialog
  return (
    <Card title="Brokers" flush>
      <DataTable
        label="Brokers"
        layout="fits"
        rows={nodes}
        rowKey={({ node }) => node}
        empty={
          <Empty icon="live" title="No broker is running">
            <p>
              Nobody can connect. Start one beside this service: <code>rollcall broker --data DIR</code>, or{' '}
              <code>rollcall up</code> for both.
            </p>
          </Empty>
        }
        columns={[
          {
            title: 'Broker',
            rowHeader: true,
            cell: ({ node, healthy, unhealthySince, version, drain, replica, busConnected }) => (
              <>
                <div className="row">
                  {node}
                  <Badge tone={healthy ? 'good' : 'bad'} dot>
                    {healthy ? 'healthy' : 'not healthy'}
                  </Badge>
                  {drain === null ? null : <Badge tone="warn">{drain.state}</Badge>}
                </div>
                {unhealthySince === null ? null : (
                  <div className="small">
                    since <Timestamp at={unhealthySince} />
                  </div>
                )}
                {drain === null ? null : (
                  <div className="small">
                    drained since <Timestamp at={drain.since} />
                    {drain.serverReference === null ? null : `, to ${drain.serverReference}`}
                  </div>
                )}
                <Links replica={replica} busConnected={busConnected} />
                <div className="faint small">version {version}</div>
              </>
            ),
          },
          { title: 'Sessions', className: 'end', cell: node => count(node.sessions) },
          {
            title: 'Epoch',
            className: 'end wide-only',
            cell: ({ epoch, lagSeconds }) => (
              <>
                {epoch}
                {lagSeconds < 1 ? null : <div className="small">{Math.round(lagSeconds)} s behind</div>}
              </>
            ),
          },
          { title: 'Seen', cell: node => <Timestamp at={node.lastSeen} /> },
          may
            ? {
                title: <span className="hidden-from-sight">Actions</span>,
                className: 'tight',
                cell: node => (
                  <Button small onClick={() => setAsked(node)}>
                    {node.drain === null ? 'Drain…' : 'Resume…'}
                  </Button>
                ),
              }
            : null,
        ]}
      />
      {nodes.length === 0 ? null : (
        <p className="inside soft small wide-only">
          Epoch: the number of the last change of the registry that the broker has acted on. A broker that is
          behind still refuses what was revoked: it looks up each new connection.
        </p>
      )}
      {asked === null ? null : <Ask node={asked} onDone={refetch} onClose={() => setAsked(null)} />}
    </Card>
  )
}
