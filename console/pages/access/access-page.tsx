// The callers of the API: tokens and operators' certificates, to make, to look through and to revoke.
import { useState } from 'react'
import type { ApiToken, Operator } from '../../../client/operators.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { useRoute } from '../../routing/location.ts'
import { CredentialForm } from './credential-form.tsx'
import { CredentialsCard } from './credentials-card.tsx'
import { NewToken } from './new-token.tsx'

const lead =
  'Each person and each program gets a credential of its own: the audit log then tells them apart, and one can be revoked alone.'

export function AccessPage() {
  const { query } = useRoute()
  const may = useMay('admin')
  const view = query.get('view') === 'certificates' ? 'certificates' : 'tokens'
  if (!may) {
    return (
      <>
        <PageHeader title="Access" lead={lead} />
        <section className="card">
          <Empty icon="key" title="Your role sees no credentials of others">
            <p>API tokens and operators' certificates are managed with the role admin.</p>
          </Empty>
        </section>
      </>
    )
  }
  return (
    <>
      <PageHeader title="Access" lead={lead} />
      <Tabs
        label="Kinds of credentials"
        tabs={[
          { to: '/access', title: 'API tokens', current: view === 'tokens' },
          {
            to: '/access?view=certificates',
            title: 'Operator certificates',
            current: view === 'certificates',
          },
        ]}
      />
      {view === 'tokens' ? <TokensView /> : <CertificatesView />}
    </>
  )
}

function TokensView() {
  const list = usePages<ApiToken>('/v1/api-tokens?limit=100')
  const [made, setMade] = useState<(ApiToken & { token: string }) | null>(null)
  return (
    <>
      {made === null ? (
        <CredentialForm<ApiToken & { token: string }>
          kind="token"
          onMade={token => {
            setMade(token)
            list.refetch()
          }}
        />
      ) : (
        <NewToken made={made} onClose={() => setMade(null)} />
      )}
      <FailureNotice failure={list.failure} refetch={list.refetch} />
      <CredentialsCard
        title="API tokens"
        list={list}
        keyOf={({ id }) => id}
        revokePath={({ id }) => `/v1/api-tokens/${encodeURIComponent(id)}/revoke`}
      />
    </>
  )
}

function CertificatesView() {
  const list = usePages<Operator>('/v1/operators?limit=100')
  return (
    <>
      <CredentialForm<Operator> kind="certificate" onMade={list.refetch} />
      <FailureNotice failure={list.failure} refetch={list.refetch} />
      <CredentialsCard
        title="Operator certificates"
        list={list}
        keyOf={({ fingerprint }) => fingerprint}
        fingerprintOf={({ fingerprint }) => fingerprint}
        revokePath={({ fingerprint }) => `/v1/operators/${encodeURIComponent(fingerprint)}/revoke`}
      />
    </>
  )
}
