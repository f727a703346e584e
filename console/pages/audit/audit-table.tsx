// Rows of the audit log, the newest first: who did what to whom, and the hash that chains each row to the one before.
import type { AuditRow } from '../../../client/types.ts'
import { query } from '../../api/call.ts'
import { usePages } from '../../api/use-pages.ts'
import { Badge } from '../../parts/badge.tsx'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { moment } from '../../words/numbers.ts'

const PAGE_SIZE = 50

export function AuditTable({ filter, empty }: { filter: Record<string, string | null>; empty: string }) {
  const { items, failure, waiting, more, fetching, again } = usePages<AuditRow>(
    `/v1/audit${query({ ...filter, limit: PAGE_SIZE })}`,
  )
  return (
    <>
      <FailureNotice failure={failure} again={again} />
      <Card title="What was done" aside="newest first" flush>
        {waiting ? <Skeleton lines={6} /> : null}
        {!waiting && items.length === 0 && failure === null ? <Empty icon="audit" title={empty} /> : null}
        {items.length === 0 ? null : (
          <div className="scroll">
            <table>
              <thead>
                <tr>
                  <th className="tight end">Row</th>
                  <th className="tight">When</th>
                  <th>Who</th>
                  <th>Did</th>
                  <th>To</th>
                  <th>Details</th>
                </tr>
              </thead>
              <tbody>
                {items.map(row => (
                  <tr key={row.seq}>
                    <td className="tight end faint" title={`hash ${row.hash}`}>
                      {row.seq}
                    </td>
                    <td className="tight">
                      <time dateTime={row.ts}>{moment(row.ts)}</time>
                    </td>
                    <td className="break">{row.actor}</td>
                    <td className="tight">
                      <code>{row.action}</code>{' '}
                      {row.outcome === 'done' || row.outcome === 'success' || row.outcome === 'ok' ? null : (
                        <Badge tone="neutral">{row.outcome}</Badge>
                      )}
                    </td>
                    <td className="break">
                      {row.target.length > 48 ? (
                        <code title={row.target}>{row.target.slice(0, 16)}…</code>
                      ) : (
                        row.target
                      )}
                    </td>
                    <td className="small soft break">
                      <Details row={row} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
        {more === null ? null : (
          <div className="table-foot">
            <span className="small faint">There is more.</span>
            <Button onClick={more} busy={fetching}>
              Show {PAGE_SIZE} more
            </Button>
          </div>
        )}
      </Card>
    </>
  )
}

const SHOWN = 160

function Details({ row }: { row: AuditRow }) {
  const text = [
    row.reason,
    ...Object.entries(row.detail).map(
      ([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
  ]
    .filter(Boolean)
    .join(', ')
  if (text.length <= SHOWN) return text
  return (
    <details>
      <summary>{text.slice(0, SHOWN)}…</summary>
      <p>{text}</p>
    </details>
  )
}
