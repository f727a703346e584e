// What was done with a device and with each of its certificates, the newest first.
import { useEffect, useState } from 'react'
import type { AuditRow, Certificate, Page } from '../../../client/types.ts'
import { ask, query } from '../../api/request.ts'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Link } from '../../routing/link.tsx'
import { AuditRows } from '../audit/audit-rows.tsx'

const CERTIFICATES = 10
const ROWS = 50

export function DeviceAudit({ id }: { id: string }) {
  const [rows, setRows] = useState<AuditRow[] | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  useEffect(() => {
    const controller = new AbortController()
    rowsOf(id, controller.signal).then(setRows, error => {
      if (!controller.signal.aborted) setFailure(error)
    })
    return () => controller.abort()
  }, [id])
  return (
    <>
      <FailureNotice failure={failure} />
      <Card title="What was done" aside={<Link to="/audit">the whole log</Link>} flush>
        {rows === null ? <Skeleton lines={5} /> : <AuditRows rows={rows} />}
      </Card>
    </>
  )
}

async function rowsOf(id: string, signal: AbortSignal): Promise<AuditRow[]> {
  const certificates = await ask<Page<Certificate>>(
    `/v1/certificates${query({ deviceId: id, limit: CERTIFICATES })}`,
    { signal },
  )
  const targets = [id, ...certificates.items.map(({ fingerprint }) => fingerprint)]
  const pages = await Promise.all(
    targets.map(target => ask<Page<AuditRow>>(`/v1/audit${query({ target, limit: ROWS })}`, { signal })),
  )
  return pages
    .flatMap(({ items }) => items)
    .toSorted((one, other) => other.seq - one.seq)
    .slice(0, ROWS)
}
