// For each route the requests that keep the service longest, each with the largest body or the widest question that its limits
// allow. A route of access.ts without a row here fails the benchmark.

import type { Asked } from './asked.ts'
import { acme, cmp, est } from './enrollment-requests.ts'
import { largestAttributes, largestPolicy, mostGroups } from './record.ts'

export type Names = {
  device: string
  connected: string
  fingerprint: string
  fingerprints: readonly string[]
  issuing: string
  anchor: string
  job: string
  csr: string
  certificate: string
  newCertificate: string
  anchorCertificate: string
  crl: Buffer
  token: string
  webhook: string
  claim: string
  enrollmentToken: string
}

const BODY_BYTES = 65_000
const long = 'x'.repeat(60_000)
const pem = (filling: string) =>
  `-----BEGIN CERTIFICATE-----\n${filling.slice(0, 15_000)}\n-----END CERTIFICATE-----\n`
const uuid = '00000000-0000-0000-0000-000000000000'
const hex = 'f'.repeat(64)

export function slowestRequests(n: Names): Record<string, Asked[]> {
  const device = `/v1/devices/${n.device}`
  const certificate = `/v1/certificates/${n.fingerprint}`
  const anchor = `/v1/issuers/${n.anchor}`
  const named = { attributes: largestAttributes, groups: mostGroups }
  const statements = Array.from({ length: 100 }, () => ({
    effect: 'x',
    actions: [],
    topics: Array(80).fill('+x'),
  }))
  const draft = { document: largestPolicy('large', 'b') }
  const checks = Array.from({ length: 200 }, (_, index) => ({
    action: 'publish',
    topic: `none/${'a/'.repeat(100)}${index}`,
  }))
  const rows = (row: (index: number) => object, count: number) =>
    Array.from({ length: count }, (_, index) => `${JSON.stringify(row(index))}\n`).join('')
  const ndjson = 'application/x-ndjson'
  return {
    'GET /v1/devices': [
      { path: '/v1/devices?limit=500' },
      { path: '/v1/devices?limit=500&state=active&connected=true&attribute=site:north' },
      {
        path: '/v1/devices?limit=500&state=decommissioned&prefix=fleet&connected=false&group=site-1&attribute=site:south',
      },
      { path: '/v1/devices?limit=500&search=fleet&state=suspended' },
      { path: `/v1/devices?search=${n.fingerprint.slice(0, 8)}` },
    ],
    'POST /v1/devices': [{ path: '/v1/devices', body: { id: 'bench-new', ...named } }],
    'GET /v1/devices/:id': [{ path: device }],
    'PATCH /v1/devices/:id': [{ path: device, body: named, headers: { 'if-match': '*' } }],
    'POST /v1/devices/:id/suspend': [{ path: `${device}/suspend` }],
    'POST /v1/devices/:id/activate': [{ path: `${device}/activate` }],
    'POST /v1/devices/:id/decommission': [{ path: '/v1/devices/fleet-0000009/decommission' }],
    'DELETE /v1/devices/:id': [{ path: '/v1/devices/fleet-0000009', headers: { 'if-match': '*' } }],
    'GET /v1/devices/:id/admission': [{ path: `${device}/admission` }],
    'GET /v1/devices/:id/policy': [{ path: `${device}/policy` }],
    'GET /v1/devices/:id/sessions': [{ path: `/v1/devices/${n.connected}/sessions` }],
    'POST /v1/devices/:id/sessions/kick': [
      { path: `/v1/devices/${n.connected}/sessions/kick`, body: { clear: true } },
    ],
    'GET /v1/nodes': [{ path: '/v1/nodes' }],
    'POST /v1/nodes/:node/drain': [{ path: '/v1/nodes/broker/drain', body: {} }],
    'POST /v1/nodes/:node/resume': [{ path: '/v1/nodes/broker/resume' }],
    'GET /v1/sessions': [
      { path: '/v1/sessions?limit=500&total=true' },
      { path: '/v1/sessions?limit=500&total=true&group=site-1&connected=false&kept=true' },
    ],
    'GET /v1/groups': [{ path: '/v1/groups?limit=500' }],
    'POST /v1/devices/:id/certificates': [
      { path: `/v1/devices/bench-new/certificates`, body: { csr: n.csr } },
      { path: `${device}/certificates`, body: { csr: pem(long) } },
      { path: `/v1/devices/fleet-0000010/certificates`, body: { certificate: n.newCertificate } },
    ],
    'POST /v1/devices/:id/canaries': [{ path: `${device}/canaries`, body: { csr: n.csr, kind: 'expired' } }],
    'POST /v1/enrollment-tokens': [{ path: '/v1/enrollment-tokens', body: { deviceId: n.device } }],
    'GET /v1/enrollment-tokens': [{ path: '/v1/enrollment-tokens?limit=500' }],
    'GET /v1/enrollment-tokens/:id': [{ path: `/v1/enrollment-tokens/${n.enrollmentToken}` }],
    'POST /v1/enrollment-tokens/:id/revoke': [{ path: `/v1/enrollment-tokens/${n.enrollmentToken}/revoke` }],
    'POST /v1/claims': [
      {
        path: '/v1/claims',
        body: {
          name: 'c',
          csr: n.csr,
          quota: 400,
          allow: Array.from({ length: 400 }, (_, i) => `${'c'.repeat(120)}${i}`),
        },
      },
    ],
    'GET /v1/claims': [{ path: '/v1/claims?limit=500' }],
    'GET /v1/claims/:id': [{ path: `/v1/claims/${n.claim}` }],
    'POST /v1/claims/:id/revoke': [{ path: `/v1/claims/${n.claim}/revoke` }],
    'GET /v1/certificates': [
      { path: '/v1/certificates?limit=500' },
      { path: '/v1/certificates?limit=500&status=pending' },
      { path: `/v1/certificates?limit=500&status=revoked` },
    ],
    'GET /v1/certificates/:fingerprint': [{ path: certificate }],
    'GET /v1/certificates/:fingerprint/admission': [{ path: `${certificate}/admission` }],
    'POST /v1/certificates/:fingerprint/revoke': [
      { path: `/v1/certificates/${n.fingerprints[20]}/revoke`, body: { reason: 'keyCompromise' } },
    ],
    'POST /v1/certificates/:fingerprint/suspend': [
      { path: `/v1/certificates/${n.fingerprints[22]}/suspend` },
    ],
    'POST /v1/certificates/:fingerprint/activate': [
      { path: `/v1/certificates/${n.fingerprints[22]}/activate` },
    ],
    'POST /v1/certificates/:fingerprint/approve': [{ path: `${certificate}/approve` }],
    'POST /v1/certificates/:fingerprint/reject': [{ path: `${certificate}/reject` }],
    'GET /v1/issuers': [{ path: '/v1/issuers?limit=500' }],
    'POST /v1/issuers': [
      { path: '/v1/issuers', body: { certificate: n.anchorCertificate } },
      { path: '/v1/issuers', body: { certificate: pem(long) } },
    ],
    'GET /v1/issuers/:issuer': [{ path: `/v1/issuers/${n.issuing}` }],
    'POST /v1/issuers/:issuer/challenge': [{ path: `${anchor}/challenge` }],
    'POST /v1/issuers/:issuer/proof': [{ path: `${anchor}/proof`, body: { certificate: n.newCertificate } }],
    'GET /v1/issuers/:issuer/enrollment': [{ path: `${anchor}/enrollment` }],
    'PUT /v1/issuers/:issuer/enrollment': [{ path: `${anchor}/enrollment`, body: { mode: 'pending' } }],
    'PUT /v1/issuers/:issuer/registration': [{ path: `${anchor}/registration`, body: { mode: 'pending' } }],
    'GET /v1/issuers/:issuer/arrivals': [{ path: `${anchor}/arrivals?limit=500` }],
    'GET /v1/issuers/:issuer/crl': [{ path: `${anchor}/crl` }],
    'PUT /v1/issuers/:issuer/crl': [
      { path: `${anchor}/crl`, raw: n.crl, type: 'application/pkix-crl' },
      { path: `${anchor}/crl`, raw: Buffer.alloc(16 * 2 ** 20 - 1), type: 'application/pkix-crl' },
      { path: `${anchor}/crl`, body: { crl: 'A'.repeat(4_000_000) } },
    ],
    'PUT /v1/issuers/:issuer/crl/source': [{ path: `${anchor}/crl/source`, body: { url: null } }],
    'POST /v1/issuers/:issuer/crl/refresh': [{ path: `${anchor}/crl/refresh` }],
    'POST /v1/issuers/:issuer/disable': [{ path: `${anchor}/disable` }],
    'POST /v1/issuers/:issuer/enable': [{ path: `${anchor}/enable` }],
    'PUT /v1/issuers/:issuer/profile': [{ path: `${anchor}/profile`, body: {} }],
    'POST /v1/issuers/:issuer/retire': [{ path: `${anchor}/retire`, body: {} }],
    'DELETE /v1/issuers/:issuer': [{ path: anchor }],
    'GET /v1/ca': [{ path: '/v1/ca' }],
    'POST /v1/ca/request': [{ path: '/v1/ca/request' }],
    'POST /v1/ca/rotate': [{ path: '/v1/ca/rotate', body: {} }],
    'POST /v1/ca/issuers/:issuer/retire': [{ path: `/v1/ca/issuers/${n.issuing}/retire` }],
    'GET /v1/policies': [{ path: '/v1/policies?limit=500' }],
    'GET /v1/policies/:name': [{ path: '/v1/policies/large' }],
    'PUT /v1/policies/:name': [
      { path: '/v1/policies/large', body: largestPolicy('large', 'c'), headers: { 'if-match': '*' } },
      { path: '/v1/policies/bad', body: { name: 'bad', statements } },
    ],
    'DELETE /v1/policies/:name': [{ path: '/v1/policies/larger', headers: { 'if-match': '*' } }],
    'GET /v1/policies/:name/attachments': [{ path: '/v1/policies/large/attachments?limit=500' }],
    'PUT /v1/policies/:name/attachments/everyone': [{ path: '/v1/policies/large/attachments/everyone' }],
    'PUT /v1/policies/:name/attachments/:kind/:target': [
      { path: '/v1/policies/large/attachments/group/site-1' },
    ],
    'POST /v1/policies/:name/simulate': [
      {
        path: '/v1/policies/large/simulate',
        body: { deviceId: n.device, ...draft, checks: checks.slice(0, 5) },
      },
      { path: '/v1/policies/large/simulate', body: { deviceId: n.device, checks } },
    ],
    'POST /v1/policies/:name/simulate/fleet': [
      { path: '/v1/policies/large/simulate/fleet', body: { ...draft, limit: 1_000 } },
    ],
    'DELETE /v1/policies/:name/attachments/:kind/:target': [
      { path: '/v1/policies/large/attachments/group/site-1' },
    ],
    'DELETE /v1/policies/:name/attachments/everyone': [{ path: '/v1/policies/large/attachments/everyone' }],
    'POST /v1/jobs': [
      {
        path: '/v1/jobs?dryRun=true',
        raw: rows(index => ({ deviceId: `job-${index}`, ...named }), 200),
        type: ndjson,
      },
      { path: '/v1/jobs', raw: rows(index => ({ deviceId: `job-${index}` }), 5_000), type: ndjson },
      { path: '/v1/jobs?dryRun=true', raw: `a,deviceId\n"${'x\n'.repeat(500_000)}",b\n`, type: 'text/csv' },
    ],
    'GET /v1/jobs': [{ path: '/v1/jobs?limit=500' }],
    'GET /v1/jobs/:job': [{ path: `/v1/jobs/${n.job}` }],
    'GET /v1/jobs/:job/results': [{ path: `/v1/jobs/${n.job}/results` }],
    'POST /v1/jobs/:job/cancel': [{ path: `/v1/jobs/${n.job}/cancel` }],
    'GET /v1/export': [
      { path: '/v1/export' },
      { path: '/v1/export?format=csv' },
      { path: '/v1/export?status=pending&group=site-1' },
    ],
    'POST /v1/webhooks': [
      { path: '/v1/webhooks', body: { url: `https://example.com/${'x'.repeat(2_000)}` } },
    ],
    'GET /v1/webhooks': [{ path: '/v1/webhooks?limit=500' }],
    'GET /v1/webhooks/:webhook': [{ path: `/v1/webhooks/${n.webhook}` }],
    'PATCH /v1/webhooks/:webhook': [{ path: `/v1/webhooks/${n.webhook}`, body: { enabled: false } }],
    'POST /v1/webhooks/:webhook/test': [{ path: `/v1/webhooks/${n.webhook}/test` }],
    'DELETE /v1/webhooks/:webhook': [{ path: `/v1/webhooks/${n.webhook}` }],
    'GET /v1/overview': [{ path: '/v1/overview' }],
    'GET /v1/history': ['hour', 'day', 'week', 'month', 'year'].map(span => ({
      path: `/v1/history?span=${span}`,
    })),
    'GET /v1/events': [
      { path: '/v1/events?limit=500' },
      { path: '/v1/events?limit=500&reason=none' },
      { path: '/v1/events?kind=connected&device=fleet-0000001&reason=none' },
    ],
    'GET /v1/events/stream': [{ path: '/v1/events/stream', headers: { 'last-event-id': '1' } }],
    'POST /v1/admission': [
      { path: '/v1/admission', body: { certificate: n.newCertificate } },
      { path: '/v1/admission', body: { certificate: pem(long) } },
    ],
    'GET /v1/audit': [
      { path: '/v1/audit?limit=500' },
      { path: '/v1/audit?actor=nobody' },
      { path: '/v1/audit?target=fleet-0000001&actor=nobody' },
      { path: '/v1/audit?action=none.*&order=oldest' },
    ],
    'GET /v1/audit/verification': [{ path: '/v1/audit/verification' }],
    'POST /v1/api-tokens': [{ path: '/v1/api-tokens', body: { name: 'bench', role: 'viewer' } }],
    'GET /v1/api-tokens': [{ path: '/v1/api-tokens?limit=500' }],
    'POST /v1/api-tokens/:token/revoke': [{ path: `/v1/api-tokens/${n.token}/revoke` }],
    'POST /v1/operators': [
      { path: '/v1/operators', body: { name: 'o', role: 'viewer', certificate: n.newCertificate } },
    ],
    'GET /v1/operators': [{ path: '/v1/operators?limit=500' }],
    'POST /v1/operators/:operator/revoke': [{ path: `/v1/operators/${hex}/revoke` }],
    'GET /v1/whoami': [{ path: '/v1/whoami' }],
    'POST /v1/session': [{ path: '/v1/session', body: {} }],
    'GET /v1/session': [{ path: '/v1/session' }],
    'DELETE /v1/session': [{ path: '/v1/session' }],
    'GET /v1/self': [{ path: '/v1/self' }],
    'POST /v1/self/certificates': [{ path: '/v1/self/certificates', body: { csr: n.csr } }],
    'POST /v1/enroll': [{ path: '/v1/enroll', body: { csr: pem(long) } }],
    'GET /.well-known/est/cacerts': [{ path: '/.well-known/est/cacerts' }],
    'GET /.well-known/est/:label/cacerts': [{ path: '/.well-known/est/g/cacerts' }],
    'GET /.well-known/est/csrattrs': [{ path: '/.well-known/est/csrattrs' }],
    'GET /.well-known/est/:label/csrattrs': [{ path: '/.well-known/est/g/csrattrs' }],
    'POST /.well-known/est/simpleenroll': [est('/.well-known/est/simpleenroll')],
    'POST /.well-known/est/:label/simpleenroll': [est('/.well-known/est/g/simpleenroll')],
    'POST /.well-known/est/simplereenroll': [est('/.well-known/est/simplereenroll')],
    'POST /.well-known/est/:label/simplereenroll': [est('/.well-known/est/g/simplereenroll')],
    'POST /.well-known/cmp': [cmp('/.well-known/cmp')],
    'POST /.well-known/cmp/p/:label': [cmp('/.well-known/cmp/p/g')],
    'POST /.well-known/cmp/:operation': [cmp('/.well-known/cmp/pkcs10')],
    'POST /.well-known/cmp/p/:label/:operation': [cmp('/.well-known/cmp/p/g/pkcs10')],
    'GET /acme/directory': [{ path: '/acme/directory' }],
    'GET /acme/new-nonce': [{ path: '/acme/new-nonce' }],
    'GET /acme/renewal-info/:certificate': [{ path: `/acme/renewal-info/${'A'.repeat(200)}.AAAA` }],
    ...acme(uuid, hex),
    'GET /v1/devices/:id/endorsement-key': [{ path: `${device}/endorsement-key` }],
    'PUT /v1/devices/:id/endorsement-key': [
      { path: `${device}/endorsement-key`, body: { certificate: n.newCertificate } },
      { path: `${device}/endorsement-key`, body: { certificate: pem(long) } },
    ],
    'GET /v1/issuers/:issuer/tpm': [{ path: `${anchor}/tpm` }],
    'PUT /v1/issuers/:issuer/tpm': [{ path: `${anchor}/tpm`, body: { mode: 'pending' } }],
    'POST /v1/enroll/tpm': [{ path: '/v1/enroll/tpm', body: { csr: pem(long) } }],
    'POST /v1/enroll/tpm/:session': [{ path: `/v1/enroll/tpm/${uuid}`, body: { secret: long } }],
    'GET /livez': [{ path: '/livez' }],
    'GET /readyz': [{ path: '/readyz' }],
    // No routes of access.ts, but asked by everybody.
    'GET /openapi.json': [{ path: '/openapi.json' }],
    'GET /docs/': [{ path: '/docs/' }, { path: '/docs/static/swagger-ui-bundle.js' }],
    'GET /console/': [{ path: '/console/', headers: { 'accept-encoding': 'br' } }],
    'POST (a body that is no JSON)': [
      { path: '/v1/devices', raw: `${'['.repeat(BODY_BYTES / 2)}`, type: 'application/json' },
    ],
    'GET (an unknown path)': [{ path: `/${'a/'.repeat(3_000)}` }, { path: `/v1/devices/${uuid}/none` }],
  }
}
