// A typed client of Rollcall's HTTP API, for the command line and for programs that install the package.
// A room of its own: imports nothing of ours, so that it sees what any client sees.
import { caVerbs } from './ca.ts'
import { enrollmentVerbs, type PendingEnrollment } from './enrollment.ts'
import { eventVerbs } from './events.ts'
import { installationVerbs } from './installation.ts'
import { issuerVerbs } from './issuers.ts'
import { jobVerbs } from './jobs.ts'
import { nodeVerbs } from './nodes.ts'
import { apiTokenVerbs, operatorVerbs, type WhoAmI } from './operators.ts'
import { policyVerbs } from './policies.ts'
import { retainedVerbs } from './retained.ts'
import { sessionVerbs } from './sessions.ts'
import { tpmVerbs } from './tpm.ts'
import { createTransport, type TransportOptions } from './transport.ts'
import { tryoutVerbs } from './tryouts.ts'
import type {
  AuditFilter,
  AuditRow,
  AuditVerification,
  Certificate,
  CertificateChange,
  CertificateFilter,
  CertificateReceipt,
  Device,
  DeviceChange,
  DeviceListing,
  Explanation,
  Group,
  IssuedCertificate,
  NewDevice,
  Page,
  RevocationReceipt,
  StateReceipt,
} from './types.ts'
import { webhookVerbs } from './webhooks.ts'

export type { CaRecord } from './ca.ts'
export {
  type AnchorEnrollment,
  type Claim,
  type ClaimWithPem,
  type CreatedEnrollmentToken,
  createEnrollmentClient,
  type EnrollmentClient,
  type EnrollmentToken,
  type NewClaim,
  type NewEnrollmentToken,
  type PendingEnrollment,
} from './enrollment.ts'
export type { EventFilter, FleetEvent, FleetOverview, History, HistorySpan } from './events.ts'
export { ApiProblem, ApiUnreachable, type Finding } from './failures.ts'
export type * from './installation.ts'
export type * from './issuers.ts'
export type * from './jobs.ts'
export type * from './nodes.ts'
export type * from './operators.ts'
export type * from './policy-types.ts'
export { createSelfClient, type Self, type SelfClient } from './self.ts'
export type * from './sessions.ts'
export type * from './tpm.ts'
export type { TransportOptions as ClientOptions } from './transport.ts'
export type * from './types.ts'
export type * from './webhooks.ts'

export type Client = ReturnType<typeof createClient>

type Query = Record<string, string | number | boolean | undefined>

/** A caller authenticates by a token, or by the certificate and key (PEM) of a registered operator. */
export type Credential = { token: string } | { identity: { certificate: string; key: string } }

/**
 * Verbs on one Rollcall service. Every one throws `ApiProblem` where the service refuses, `ApiUnreachable` where no
 * answer of it was had, and has a deadline. Nothing is ever sent twice by itself.
 */
export function createClient(options: Omit<TransportOptions, 'identity' | 'token'> & Credential) {
  const transport = createTransport(options)
  const { call } = transport

  /** Walks a list to its end, page by page. */
  async function* walk<Item>(path: string, query: Query): AsyncGenerator<Item[], void, undefined> {
    let cursor: string | undefined
    do {
      const page = await call<Page<Item>>('GET', withQuery(path, { ...query, cursor }))
      yield page.items
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
  }

  const tpms = tpmVerbs(call)
  const device = (id: string) => `/v1/devices/${encodeURIComponent(id)}`
  const certificate = (fingerprint: string) => `/v1/certificates/${encodeURIComponent(fingerprint)}`

  return {
    devices: {
      add: (added: NewDevice) => call<Device>('POST', '/v1/devices', added),
      show: (id: string) => call<Device>('GET', device(id)),
      /** Replaces what is given; `version` is the ETag without its quotes, or `*` for any. */
      change: (id: string, change: DeviceChange, version: string) =>
        call<Device>('PATCH', device(id), change, { 'If-Match': version === '*' ? '*' : `"${version}"` }),
      /** All devices that fit, a page at a time. */
      pages: (filter: DeviceListing = {}) => walk<Device>('/v1/devices', filter),
      suspend: (id: string) => call<StateReceipt>('POST', `${device(id)}/suspend`),
      activate: (id: string) => call<StateReceipt>('POST', `${device(id)}/activate`),
      /** Of a decommissioned device whose certificates have expired. */
      remove: (id: string) => call<null>('DELETE', device(id)),
      decommission: (id: string) => call<StateReceipt>('POST', `${device(id)}/decommission`),
      /** Issues a certificate for a PKCS #10 request (PEM), valid for `days`. */
      enroll: (id: string, request: { csr: string; days?: number }) =>
        call<IssuedCertificate>('POST', `${device(id)}/certificates`, request),
      /** Puts a certificate of another CA on the roll. */
      register: (id: string, registered: { certificate: string; trust?: 'chained' | 'pinned' }) =>
        call<IssuedCertificate>('POST', `${device(id)}/certificates`, registered),
      admission: (id: string) => call<Explanation>('GET', `${device(id)}/admission`),
      ...tpms.device,
    },
    certificates: {
      show: (fingerprint: string) => call<IssuedCertificate>('GET', certificate(fingerprint)),
      pages: (filter: CertificateFilter = {}) => walk<Certificate>('/v1/certificates', filter),
      revoke: (fingerprint: string, change: CertificateChange = {}) =>
        call<RevocationReceipt>('POST', `${certificate(fingerprint)}/revoke`, change),
      suspend: (fingerprint: string) =>
        call<CertificateReceipt>('POST', `${certificate(fingerprint)}/suspend`),
      activate: (fingerprint: string) =>
        call<CertificateReceipt>('POST', `${certificate(fingerprint)}/activate`),
      approve: (fingerprint: string) =>
        call<CertificateReceipt>('POST', `${certificate(fingerprint)}/approve`),
      reject: (fingerprint: string) => call<CertificateReceipt>('POST', `${certificate(fingerprint)}/reject`),
      admission: (fingerprint: string) => call<Explanation>('GET', `${certificate(fingerprint)}/admission`),
    },
    ...installationVerbs(call),
    sessions: sessionVerbs(call, walk),
    nodes: nodeVerbs(call, walk),
    retained: retainedVerbs(call, walk),
    tryouts: tryoutVerbs(call),
    groups: { pages: () => walk<Group>('/v1/groups', {}) },
    ca: caVerbs(call),
    issuers: issuerVerbs(call, walk),
    policies: policyVerbs(call, walk),
    ...enrollmentVerbs(call, walk),
    tpmAnchor: tpms.anchor,
    apiTokens: apiTokenVerbs(call, walk),
    operators: operatorVerbs(call, walk),
    webhooks: webhookVerbs(call, walk),
    ...eventVerbs(transport, walk),
    ...jobVerbs(transport, walk),
    /** Whether any certificate (PEM), on the roll or never seen, would be admitted now. */
    admission: (pem: string) => call<Explanation>('POST', '/v1/admission', { certificate: pem }),
    audit: {
      /** Rows that fit, a page at a time, newest first unless told otherwise. */
      pages: (filter: AuditFilter = {}) => walk<AuditRow>('/v1/audit', filter),
      /** Has the service verify the whole log. */
      verification: () => call<AuditVerification>('GET', '/v1/audit/verification'),
    },
    /** Whether its token is one for enrolling a device: all that it opens then is `enroll`. */
    enrolls: 'token' in options && options.token.startsWith('rce_'),
    enroll: (request: { csr: string; deviceId?: string }) =>
      call<IssuedCertificate | PendingEnrollment>('POST', '/v1/enroll', request),
    whoami: () => call<WhoAmI>('GET', '/v1/whoami'),
    /** Lets go of kept connections. */
    close: transport.close,
  }
}

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams()
  for (const [key, value] of Object.entries(query))
    if (value !== undefined) parameters.set(key, String(value))
  return parameters.size === 0 ? path : `${path}?${parameters}`
}
