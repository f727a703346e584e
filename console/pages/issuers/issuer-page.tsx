// One issuer: what it is, whether its certificates are accepted, and for a trust anchor how its devices may come in.
import { useState } from 'react'
import type { IssuerDetail } from '../../../client/issuers.ts'
import type { IssuerReceipt } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { Ends } from '../../components/ends.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { ReceiptView, type TimedReceipt, timed } from '../../components/receipt.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { ArrivalsCard } from './arrivals-card.tsx'
import { CrlCard } from './crl-card.tsx'
import { IdevidCard, RegistrationCard, TpmCard } from './entry-cards.tsx'
import { ProofCard } from './proof-card.tsx'

const SOON_DAYS = 90

export function IssuerPage({ id }: { id: string }) {
  const path = `/v1/issuers/${encodeURIComponent(id)}`
  const { data, failure, loading, refetch } = useQuery<IssuerDetail>(path)
  const [asked, setAsked] = useState(false)
  const operates = useMay('operator')
  const whole = useGroup() === null
  if (data === null) {
    return (
      <>
        <PageHeader title="Issuer" />
        <FailureNotice failure={failure} refetch={refetch} />
        {loading ? <Skeleton lines={6} /> : null}
      </>
    )
  }
  const verb = data.enabled ? 'disable' : 'enable'
  const act = () => change<IssuerReceipt>('POST', `${path}/${verb}`)
  return (
    <>
      <PageHeader
        title={data.name}
        badges={<Badge tone={data.enabled ? 'good' : 'bad'}>{data.enabled ? 'enabled' : 'disabled'}</Badge>}
        actions={
          operates && whole && data.kind !== 'root' ? (
            <Button look={data.enabled ? 'danger' : 'plain'} onClick={() => setAsked(true)}>
              {data.enabled ? 'Disable…' : 'Enable…'}
            </Button>
          ) : null
        }
      />
      <FailureNotice failure={failure} refetch={refetch} />
      <div className="card-columns">
        <FactsCard issuer={data} />
        {data.anchor === null || !whole ? null : (
          <>
            <ProofCard path={path} anchor={data.anchor} onDone={refetch} />
            <CrlCard path={path} />
            <RegistrationCard path={path} now={data.anchor.autoRegistration} onDone={refetch} />
            <IdevidCard path={`${path}/enrollment`} />
            <TpmCard path={`${path}/tpm`} />
            <ArrivalsCard path={`${path}/arrivals`} />
          </>
        )}
      </div>
      {asked ? (
        <Confirmation<TimedReceipt>
          title={`${data.enabled ? 'Disable' : 'Enable'} ${data.name}`}
          word={data.enabled ? data.name : null}
          verb={data.enabled ? 'Disable' : 'Enable'}
          danger={data.enabled}
          act={() => timed(act)}
          onDone={refetch}
          onClose={() => setAsked(false)}
          result={first => <ReceiptView first={first} refetch={act} />}
        >
          <p className="soft">
            {data.enabled
              ? 'Every certificate that this CA signed is refused, and sessions with one are cut. Nothing else of them changes: enabling it lets them in again.'
              : 'Its certificates that are on the roll admit again.'}
          </p>
        </Confirmation>
      ) : null}
    </>
  )
}

const kinds = {
  root: 'Root CA of this service',
  issuing: 'Issuing CA of this service',
  foreign: 'Trust anchor: a CA of others',
}

function FactsCard({ issuer }: { issuer: IssuerDetail }) {
  return (
    <Card
      title="Certificate"
      aside={
        <SaveButton name="ca.pem" text={issuer.certificate}>
          ca.pem
        </SaveButton>
      }
    >
      <dl className="facts">
        <dt>Kind</dt>
        <dd>{kinds[issuer.kind]}</dd>
        <dt>Subject</dt>
        <dd className="break">{issuer.subject.replaceAll('\n', ', ')}</dd>
        <dt>Fingerprint</dt>
        <dd>
          <Fingerprint of={issuer.id} />
        </dd>
        <dt>Valid</dt>
        <dd>
          since <Timestamp at={issuer.notBefore} />, <Ends at={issuer.notAfter} soonDays={SOON_DAYS} />
        </dd>
        {issuer.revoked ? (
          <>
            <dt>Revoked</dt>
            <dd>
              <Badge tone="bad">the CRL of the CA above lists it</Badge>
            </dd>
          </>
        ) : null}
      </dl>
    </Card>
  )
}
