// The CAs and the server's own certificate: until when each holds, and how many devices rely on it.
import type { Overview } from '../../api/response-types.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { Ends } from '../../components/ends.tsx'
import { many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'

export function CaCard({ ca }: { ca: NonNullable<Overview['ca']> }) {
  const rows = [
    {
      key: 'server',
      name: 'Server certificate',
      more: ca.server.names.join(', '),
      notAfter: ca.server.notAfter,
      status: 'in use',
      soonDays: 14,
    },
    ...ca.issuers.map(issuer => ({
      key: issuer.id,
      name: issuer.name,
      more: issuer.devices === null ? 'issuing CA' : `${many(issuer.devices, 'device')} on it`,
      notAfter: issuer.notAfter,
      status: issuer.enabled ? (issuer.current ? 'issues now' : 'handed over') : 'disabled',
      soonDays: 400,
    })),
    {
      key: 'root',
      name: 'Root CA',
      more: 'signs issuing CAs',
      notAfter: ca.root.notAfter,
      status: '',
      soonDays: 800,
    },
  ]
  return (
    <Card title="CA and server certificate" aside={<Link to="/issuers">Issuers</Link>}>
      <ul className="list">
        {rows.map(({ key, name, more, notAfter, status, soonDays }) => (
          <li key={key} className="row apart">
            <span className="stack tight">
              <span className="row">
                <strong>{name}</strong>
                {status === '' || status === 'in use' ? null : <Badge>{status}</Badge>}
              </span>
              <span className="faint small break">{more}</span>
            </span>
            <Ends at={notAfter} soonDays={soonDays} />
          </li>
        ))}
      </ul>
    </Card>
  )
}
