// Our own CA: the root, the issuing CAs and the devices on each; to hand over to a new issuing CA and to retire a former one.
import { useState } from 'react'
import type { CaRecord } from '../../../client/ca.ts'
import { useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Ends } from '../../components/ends.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { RetireCaDialog } from './retire-ca-dialog.tsx'
import { RotateDialog } from './rotate-dialog.tsx'

const FRESH_MS = 10_000
const SOON_DAYS = 400

type Issuing = CaRecord['issuing'][number]

export function OwnCaCard() {
  const { data, failure, loading, refetch } = useQuery<CaRecord>('/v1/ca', { everyMs: FRESH_MS })
  const [rotating, setRotating] = useState(false)
  const [retiring, setRetiring] = useState<Issuing | null>(null)
  const may = useMay('admin')
  return (
    <Card
      title="Our own CA"
      flush
      aside={
        may && data !== null ? (
          <Button small onClick={() => setRotating(true)}>
            Hand over to a new issuing CA…
          </Button>
        ) : undefined
      }
    >
      <FailureNotice failure={failure} refetch={refetch} />
      <DataTable
        label="Issuing CAs"
        layout="stacks"
        loading={loading}
        failure={failure}
        rows={data?.issuing ?? []}
        rowKey={({ id }) => id}
        columns={[
          {
            title: 'Issuing CA',
            rowHeader: true,
            cell: ({ id, name, enabled, current, keyHere }) => (
              <span className="row">
                <Link to={`/issuers/${id}`}>{name}</Link>
                <Badge tone={!enabled ? 'bad' : current ? 'good' : 'neutral'}>
                  {!enabled ? 'disabled' : current ? 'issues now' : 'handed over'}
                </Badge>
                {current && !keyHere ? <Badge tone="bad">key missing at this service</Badge> : null}
              </span>
            ),
          },
          { title: 'Devices on it', className: 'end', cell: ({ devices }) => count(devices) },
          {
            title: 'Its CRL',
            cell: ({ crl }) =>
              crl === null ? (
                <span className="faint">none yet</span>
              ) : (
                <>
                  {count(crl.entries)} revoked, next <Timestamp at={crl.nextUpdate} />
                </>
              ),
          },
          { title: 'Devices are told to renew', cell: ({ allToldAt }) => <Told at={allToldAt} /> },
          { title: 'Ends', cell: ({ notAfter }) => <Ends at={notAfter} soonDays={SOON_DAYS} /> },
          {
            title: <span className="hidden-from-sight">Actions</span>,
            className: 'tight',
            cell: issuer =>
              may && !issuer.current && issuer.enabled ? (
                <Button small look="danger" onClick={() => setRetiring(issuer)}>
                  Retire…
                </Button>
              ) : null,
          },
        ]}
      />
      {data === null ? null : (
        <p className="inside soft small">
          The root ends <Timestamp at={data.root.notAfter} />; its key is{' '}
          {data.root.keyHere ? 'here' : 'offline, and signs a request elsewhere'}. Keys are{' '}
          {data.keysEncrypted ? 'encrypted or in a token' : 'files without a passphrase'}. CRL and OCSP:{' '}
          <code className="break">{data.statusUrl}</code>
        </p>
      )}
      {rotating && data !== null ? (
        <RotateDialog keyHere={data.root.keyHere} onDone={refetch} onClose={() => setRotating(false)} />
      ) : null}
      {retiring === null ? null : (
        <RetireCaDialog issuer={retiring} onDone={refetch} onClose={() => setRetiring(null)} />
      )}
    </Card>
  )
}

function Told({ at }: { at: string | null }) {
  return at === null ? (
    <span className="faint">–</span>
  ) : (
    <>
      all by <Timestamp at={at} />
    </>
  )
}
