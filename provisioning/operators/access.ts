// The table of rights: each route, the least role that may call it, and what it does for a caller bound to a group.
// A route that is not here keeps the service from starting; docs/api.md shows the same table, held by a test.
import type { Role } from '../../db/schema.ts'

/**
 * What a caller bound to a group may do on a route:
 * `device`, `certificate` what the path names must be a device of the group or its, else it is unknown ·
 * `narrowed` the route itself shows and makes only what is of the group · `free` nothing there is about devices ·
 * `none` not called by anybody bound to a group
 */
type Scope = 'device' | 'certificate' | 'narrowed' | 'free' | 'none'
/**
 * `device`: by a device's own certificate, never by an operator; `enrollment`: by an enrollment token, a claim certificate or an
 * IDevID, by a TPM or an ACME account, which open nothing else; `open`: by everybody.
 */
export type Right = { role: Role; scope: Scope } | { access: 'device' | 'enrollment' | 'open' }

const right = (role: Role, scope: Scope) => ({ role, scope })
const open = { access: 'open' } as const
const device = { access: 'device' } as const
const enrollment = { access: 'enrollment' } as const

export const accessTable: Readonly<Record<string, Right>> = {
  // devices
  'GET /v1/devices': right('viewer', 'narrowed'),
  'POST /v1/devices': right('enroller', 'narrowed'),
  'GET /v1/devices/:id': right('viewer', 'device'),
  'DELETE /v1/devices/:id': right('operator', 'device'),
  'PATCH /v1/devices/:id': right('operator', 'device'),
  'POST /v1/devices/:id/suspend': right('operator', 'device'),
  'POST /v1/devices/:id/activate': right('operator', 'device'),
  'POST /v1/devices/:id/decommission': right('operator', 'device'),
  'GET /v1/devices/:id/admission': right('viewer', 'device'),
  'GET /v1/devices/:id/policy': right('viewer', 'device'),
  'GET /v1/devices/:id/sessions': right('viewer', 'device'),
  'POST /v1/devices/:id/sessions/kick': right('operator', 'device'),
  'POST /v1/devices/:id/try/publish': right('operator', 'device'),
  'POST /v1/devices/:id/try/subscribe': right('operator', 'device'),
  'GET /v1/sessions': right('viewer', 'narrowed'),
  'GET /v1/nodes': right('viewer', 'none'),
  'POST /v1/nodes/:node/drain': right('operator', 'none'),
  'POST /v1/nodes/:node/resume': right('operator', 'none'),
  'GET /v1/retained': right('viewer', 'narrowed'),
  'POST /v1/retained/clear': right('operator', 'narrowed'),
  'GET /v1/groups': right('viewer', 'narrowed'),
  'GET /v1/devices/:id/endorsement-key': right('viewer', 'device'),
  'PUT /v1/devices/:id/endorsement-key': right('operator', 'none'),

  // enrollment
  'POST /v1/devices/:id/certificates': right('enroller', 'device'),
  'POST /v1/devices/:id/canaries': right('operator', 'device'),
  'POST /v1/enrollment-tokens': right('enroller', 'narrowed'),
  'GET /v1/enrollment-tokens': right('viewer', 'narrowed'),
  'GET /v1/enrollment-tokens/:id': right('viewer', 'narrowed'),
  'POST /v1/enrollment-tokens/:id/revoke': right('enroller', 'narrowed'),
  'POST /v1/claims': right('operator', 'narrowed'),
  'GET /v1/claims': right('viewer', 'narrowed'),
  'GET /v1/claims/:id': right('viewer', 'narrowed'),
  'POST /v1/claims/:id/revoke': right('operator', 'narrowed'),

  // certificates
  'GET /v1/certificates': right('viewer', 'narrowed'),
  'GET /v1/certificates/:fingerprint': right('viewer', 'certificate'),
  'GET /v1/certificates/:fingerprint/admission': right('viewer', 'certificate'),
  'POST /v1/certificates/:fingerprint/revoke': right('operator', 'certificate'),
  'POST /v1/certificates/:fingerprint/suspend': right('operator', 'certificate'),
  'POST /v1/certificates/:fingerprint/activate': right('operator', 'certificate'),
  'POST /v1/certificates/:fingerprint/approve': right('operator', 'certificate'),
  'POST /v1/certificates/:fingerprint/reject': right('operator', 'certificate'),

  // issuers
  'GET /v1/issuers': right('viewer', 'free'),
  'POST /v1/issuers': right('admin', 'none'),
  'GET /v1/issuers/:issuer': right('viewer', 'free'),
  'DELETE /v1/issuers/:issuer': right('admin', 'none'),
  'POST /v1/issuers/:issuer/retire': right('admin', 'none'),
  'POST /v1/issuers/:issuer/challenge': right('admin', 'none'),
  'POST /v1/issuers/:issuer/proof': right('admin', 'none'),
  'GET /v1/issuers/:issuer/enrollment': right('viewer', 'none'),
  'PUT /v1/issuers/:issuer/enrollment': right('admin', 'none'),
  'GET /v1/issuers/:issuer/tpm': right('viewer', 'none'),
  'PUT /v1/issuers/:issuer/tpm': right('admin', 'none'),
  'PUT /v1/issuers/:issuer/registration': right('admin', 'none'),
  'PUT /v1/issuers/:issuer/profile': right('admin', 'none'),
  'GET /v1/issuers/:issuer/arrivals': right('viewer', 'none'),
  'GET /v1/issuers/:issuer/crl': right('viewer', 'free'),
  'PUT /v1/issuers/:issuer/crl': right('operator', 'none'),
  'PUT /v1/issuers/:issuer/crl/source': right('admin', 'none'),
  'POST /v1/issuers/:issuer/crl/refresh': right('operator', 'none'),
  'POST /v1/issuers/:issuer/disable': right('operator', 'none'),
  'POST /v1/issuers/:issuer/enable': right('operator', 'none'),

  // our own CA
  'GET /v1/ca': right('viewer', 'none'),
  'POST /v1/ca/request': right('admin', 'none'),
  'POST /v1/ca/rotate': right('admin', 'none'),
  'POST /v1/ca/issuers/:issuer/retire': right('admin', 'none'),

  // policies
  'GET /v1/policies': right('viewer', 'none'),
  'GET /v1/policies/:name': right('viewer', 'none'),
  'PUT /v1/policies/:name': right('operator', 'none'),
  'DELETE /v1/policies/:name': right('operator', 'none'),
  'GET /v1/policies/:name/attachments': right('viewer', 'none'),
  'PUT /v1/policies/:name/attachments/everyone': right('operator', 'none'),
  'DELETE /v1/policies/:name/attachments/everyone': right('operator', 'none'),
  'PUT /v1/policies/:name/attachments/:kind/:target': right('operator', 'none'),
  'DELETE /v1/policies/:name/attachments/:kind/:target': right('operator', 'none'),
  'POST /v1/policies/:name/simulate': right('viewer', 'none'),
  'POST /v1/policies/:name/simulate/fleet': right('viewer', 'none'),

  // imports
  'POST /v1/jobs': right('operator', 'none'),
  'GET /v1/jobs': right('operator', 'none'),
  'GET /v1/jobs/:job': right('operator', 'none'),
  'GET /v1/jobs/:job/results': right('operator', 'none'),
  'POST /v1/jobs/:job/cancel': right('operator', 'none'),
  'GET /v1/export': right('viewer', 'none'),

  // webhooks
  'POST /v1/webhooks': right('admin', 'none'),
  'GET /v1/webhooks': right('admin', 'none'),
  'GET /v1/webhooks/:webhook': right('admin', 'none'),
  'PATCH /v1/webhooks/:webhook': right('admin', 'none'),
  'DELETE /v1/webhooks/:webhook': right('admin', 'none'),
  'POST /v1/webhooks/:webhook/test': right('admin', 'none'),
  'GET /v1/webhooks/:webhook/deliveries': right('admin', 'none'),
  'POST /v1/webhooks/:webhook/deliveries': right('admin', 'none'),
  'POST /v1/webhooks/:webhook/replay': right('admin', 'none'),

  // what is not about one device
  'GET /v1/overview': right('viewer', 'narrowed'),
  'GET /v1/history': right('viewer', 'none'),
  'GET /v1/settings': right('operator', 'none'),
  'GET /v1/backup': right('operator', 'none'),
  'GET /v1/events': right('viewer', 'narrowed'),
  'GET /v1/events/stream': right('viewer', 'narrowed'),
  'POST /v1/admission': right('viewer', 'none'),
  'GET /v1/audit': right('viewer', 'none'),
  'GET /v1/audit/verification': right('viewer', 'none'),

  // operators
  'POST /v1/api-tokens': right('admin', 'narrowed'),
  'GET /v1/api-tokens': right('admin', 'narrowed'),
  'POST /v1/api-tokens/:token/revoke': right('admin', 'narrowed'),
  'POST /v1/operators': right('admin', 'narrowed'),
  'GET /v1/operators': right('admin', 'narrowed'),
  'POST /v1/operators/:operator/revoke': right('admin', 'narrowed'),
  'GET /v1/whoami': right('viewer', 'free'),
  'POST /v1/session': open,
  'GET /v1/session': right('viewer', 'free'),
  'DELETE /v1/session': right('viewer', 'free'),

  // devices for themselves
  'GET /v1/self': device,
  'POST /v1/self/certificates': device,

  // devices that are not on the roll yet
  'POST /v1/enroll': enrollment,
  'POST /v1/enroll/tpm': enrollment,
  'POST /v1/enroll/tpm/:session': enrollment,
  'GET /.well-known/est/cacerts': open,
  'GET /.well-known/est/:label/cacerts': open,
  'GET /.well-known/est/csrattrs': open,
  'GET /.well-known/est/:label/csrattrs': open,
  'POST /.well-known/est/simpleenroll': enrollment,
  'POST /.well-known/est/:label/simpleenroll': enrollment,
  'POST /.well-known/est/simplereenroll': device,
  'POST /.well-known/est/:label/simplereenroll': device,
  'POST /.well-known/cmp': enrollment,
  'POST /.well-known/cmp/p/:label': enrollment,
  'POST /.well-known/cmp/:operation': enrollment,
  'POST /.well-known/cmp/p/:label/:operation': enrollment,
  'GET /acme/directory': open,
  'GET /acme/new-nonce': open,
  'GET /acme/renewal-info/:certificate': open,
  'POST /acme/new-account': enrollment,
  'POST /acme/account/:id': enrollment,
  'POST /acme/account/:id/orders': enrollment,
  'POST /acme/key-change': enrollment,
  'POST /acme/new-order': enrollment,
  'POST /acme/order/:id': enrollment,
  'POST /acme/order/:id/finalize': enrollment,
  'POST /acme/authorization/:id/:index': enrollment,
  'POST /acme/certificate/:fingerprint': enrollment,
  'POST /acme/revoke-cert': enrollment,

  // everybody
  'GET /livez': open,
  'GET /readyz': open,
}

/**
 * What withdraws a right, and what tells whether the service lives: served before all others and beside every bound that
 * others fill. Only routes whose work is small, and none that a caller without the role of an operator could flood.
 */
export const urgentRoutes: ReadonlySet<string> = new Set([
  'POST /v1/devices/:id/suspend',
  'POST /v1/devices/:id/decommission',
  'POST /v1/certificates/:fingerprint/revoke',
  'POST /v1/certificates/:fingerprint/suspend',
  'POST /v1/certificates/:fingerprint/reject',
  'POST /v1/issuers/:issuer/disable',
  'POST /v1/claims/:id/revoke',
  'POST /v1/api-tokens/:token/revoke',
  'POST /v1/operators/:operator/revoke',
  'GET /livez',
  'GET /readyz',
])

/** The right to a route, as fastify names it. Throws for one that is not in the table. */
export function rightTo(method: string | string[], url: string): Right {
  // fastify answers HEAD wherever there is a GET.
  const key = `${method === 'HEAD' ? 'GET' : method} ${url}`
  const found = Object.hasOwn(accessTable, key) ? accessTable[key] : undefined
  if (found === undefined)
    throw new Error(`${key} has no row in provisioning/operators/access.ts: state the roles that may call it`)
  return found
}

const ranks: Record<Role, number> = { viewer: 0, enroller: 1, operator: 2, admin: 3 }

/** Whether a role reaches as far as another. */
export function includesRole(role: Role, least: Role): boolean {
  return ranks[role] >= ranks[least]
}
