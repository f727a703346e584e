// Certificates that wait for approval: the device, its key, and the two answers.
import { useState } from 'react'
import type { Certificate, RevocationReceipt } from '../../../client/types.ts'
import { keyName } from '../../../pki/key-policy.ts'
import { change } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { BulkConfirmation } from '../../components/bulk-confirmation.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { type CertificateVerb, TransitionDialog } from '../device/transition-dialog.tsx'

const FRESH_MS = 5_000

export function ApprovalsPage() {
  const { items, failure, loading, more, fetching, refetch } = usePages<Certificate>(
    '/v1/certificates?status=pending&limit=100',
    { everyMs: FRESH_MS },
  )
  const [asked, setAsked] = useState<{ verb: CertificateVerb; certificate: Certificate } | null>(null)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [bulk, setBulk] = useState<'approve' | 'reject' | null>(null)
  const may = useMay('operator')
  const selected = items.filter(({ fingerprint }) => chosen.has(fingerprint))
  const choose = (fingerprint: string, on: boolean) => {
    const next = new Set(chosen)
    if (on) next.add(fingerprint)
    else next.delete(fingerprint)
    setChosen(next)
  }
  return (
    <>
      <PageHeader
        title="Approvals"
        lead="Devices that enrolled with a token, claim or trust anchor that asks for approval. They are let in by nobody until somebody says yes, and forgotten after 7 days."
      />
      <FailureNotice failure={failure} refetch={refetch} />
      <Card
        title="Waiting"
        flush
        aside={
          items.length === 0 ? undefined : (
            <>
              {many(items.length, 'certificate')}
              {may ? (
                <Button
                  small
                  onClick={() =>
                    setChosen(
                      new Set(selected.length === items.length ? [] : items.map(one => one.fingerprint)),
                    )
                  }
                >
                  {selected.length === items.length ? 'Choose none' : 'Choose all shown'}
                </Button>
              ) : null}
            </>
          )
        }
      >
        <DataTable
          label="Certificates that wait"
          layout="stacks"
          rows={items}
          rowKey={({ fingerprint }) => fingerprint}
          loading={loading}
          skeletonLines={5}
          failure={failure}
          empty={
            <Empty icon="approvals" title="No devices are waiting">
              <p>
                Make a token that asks for approval under <Link to="/enroll?view=token">Enroll</Link>: what
                enrolls with it turns up here.
              </p>
            </Empty>
          }
          columns={[
            may
              ? {
                  title: <span className="hidden-from-sight">Choose</span>,
                  className: 'tight',
                  cell: ({ fingerprint, deviceId }) => (
                    <input
                      type="checkbox"
                      aria-label={`Choose ${deviceId}`}
                      checked={chosen.has(fingerprint)}
                      onChange={event => choose(fingerprint, event.target.checked)}
                    />
                  ),
                }
              : null,
            {
              title: 'Device',
              rowHeader: true,
              cell: ({ deviceId }) => <Link to={`/devices/${encodeURIComponent(deviceId)}`}>{deviceId}</Link>,
            },
            { title: 'Certificate', cell: ({ fingerprint }) => <Fingerprint of={fingerprint} /> },
            { title: 'Key', cell: ({ keyType }) => keyName(keyType) },
            { title: 'Subject', cellClass: 'break', cell: ({ subject }) => subject.replaceAll('\n', ', ') },
            { title: 'Asked', className: 'tight', cell: ({ issuedAt }) => <Timestamp at={issuedAt} /> },
            may
              ? {
                  title: 'Answer',
                  className: 'tight',
                  cell: certificate => (
                    <div className="row">
                      <Button small look="primary" onClick={() => setAsked({ verb: 'approve', certificate })}>
                        Approve…
                      </Button>
                      <Button small look="danger" onClick={() => setAsked({ verb: 'reject', certificate })}>
                        Reject…
                      </Button>
                    </div>
                  ),
                }
              : null,
          ]}
        />
        <ShowMore more={more} busy={fetching} />
      </Card>
      {selected.length === 0 ? null : (
        <section className="chosen" aria-label="Chosen certificates">
          <strong>{many(selected.length, 'certificate')} chosen</strong>
          <span className="row">
            <Button small look="primary" onClick={() => setBulk('approve')}>
              Approve all…
            </Button>
            <Button small look="danger" onClick={() => setBulk('reject')}>
              Reject all…
            </Button>
          </span>
        </section>
      )}
      {may ? null : <p className="faint small">Approving takes the role operator.</p>}
      {bulk === null ? null : (
        <BulkConfirmation
          title={bulk === 'approve' ? 'Approve certificates' : 'Reject certificates'}
          verb={bulk}
          danger={bulk === 'reject'}
          items={selected}
          thing="certificate"
          nameOf={({ deviceId }) => deviceId}
          act={async ({ fingerprint }) =>
            (await change<RevocationReceipt>('POST', `/v1/certificates/${fingerprint}/${bulk}`)).sessionsCut
          }
          onClose={changed => {
            setBulk(null)
            if (!changed) return
            setChosen(new Set())
            refetch()
          }}
        >
          <p className="soft">
            {bulk === 'approve'
              ? 'They are handed to their devices when these ask again, and admit them from now on.'
              : 'For good: they are never handed out. The devices may enroll anew.'}
          </p>
        </BulkConfirmation>
      )}
      {asked === null ? null : (
        <TransitionDialog {...asked} onChanged={refetch} onClose={() => setAsked(null)} />
      )}
    </>
  )
}
