// The ways onto the roll that an operator opens here: a request signed now, a token for later, many rows of a file.
import { useGroup, useMay } from '../../api/session.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { useRoute } from '../../routing/location.ts'
import { ClaimsView } from './claims-view.tsx'
import { CsrView } from './csr-view.tsx'
import { ImportView } from './import-view.tsx'
import { TokenView } from './token-view.tsx'

export function EnrollPage() {
  const { query } = useRoute()
  const may = useMay('enroller')
  const operates = useMay('operator')
  const group = useGroup()
  const mayImport = operates && group === null
  const view = query.get('view') ?? 'csr'
  const views = [
    { key: 'csr', title: 'Certificate request' },
    { key: 'token', title: 'One-time token' },
    ...(operates ? [{ key: 'claims', title: 'Claims' }] : []),
    ...(mayImport ? [{ key: 'import', title: 'Import a file' }] : []),
  ]
  if (!may) {
    return (
      <>
        <PageHeader title="Enroll" />
        <section className="card">
          <Empty icon="key" title="Your role only looks">
            <p>
              Enrolling takes the role enroller, operator or admin. Ask an admin for a token of that role.
            </p>
          </Empty>
        </section>
      </>
    )
  }
  return (
    <>
      <PageHeader
        title="Enroll"
        lead="The key is made on the device and stays there. Nothing of a request but its public key goes into a certificate."
      />
      <Tabs
        label="Ways onto the roll"
        tabs={views.map(({ key, title }) => ({
          to: key === 'csr' ? '/enroll' : `/enroll?view=${key}`,
          title,
          current: key === view,
        }))}
      />
      {view === 'token' ? (
        <TokenView />
      ) : view === 'claims' && operates ? (
        <ClaimsView />
      ) : view === 'import' && mayImport ? (
        <ImportView />
      ) : (
        <CsrView />
      )}
    </>
  )
}
