// When the last backup was made, and what changed since.
import type { BackupState } from '../../../client/installation.ts'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { bytes, many } from '../../labels/formats.ts'

const FRESH_MS = 30_000

export function BackupCard() {
  const { data, failure, refetch } = useQuery<BackupState>('/v1/backup', { everyMs: FRESH_MS })
  return (
    <Card
      title="Backup"
      aside={data !== null && data.last === null ? <Badge tone="warn">none yet</Badge> : undefined}
    >
      <FailureNotice failure={failure} refetch={refetch} />
      {data === null && failure === null ? <Skeleton lines={3} /> : null}
      {data === null ? null : (
        <dl className="facts">
          <dt>Last made</dt>
          <dd>
            {data.last === null ? (
              <>
                None on this data directory: <code>rollcall backup DIRECTORY --all --data DIR</code> makes
                one.
              </>
            ) : (
              <Timestamp at={data.last.madeAt} />
            )}
          </dd>
          {data.last === null ? null : (
            <>
              <dt>Holds</dt>
              <dd>
                {data.last.everything ? 'Registry, keys and certificates' : 'The registry alone, no keys'},{' '}
                {bytes(data.last.bytes)}
              </dd>
              <dt>Not in it</dt>
              <dd>
                {data.changesSince === 0
                  ? 'nothing: no right changed since'
                  : `${many(data.changesSince ?? 0, 'later change')} of rights`}
              </dd>
            </>
          )}
          <dt>Registry</dt>
          <dd>{bytes(data.registryBytes)}</dd>
        </dl>
      )}
    </Card>
  )
}
