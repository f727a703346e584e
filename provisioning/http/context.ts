// What the routes share: the services they call, how they are typed, and how facts of the record look on the wire.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'
import type { AdmissionLookup } from '../../db/admission-lookup.ts'
import type { AuditReader } from '../../db/audit/audit-reader.ts'
import type { EnrollmentReader } from '../../db/enrollment/enrollment-reader.ts'
import type { RegistryWriter } from '../../db/index.ts'
import type { StoredCrl } from '../../db/issuers/crl-store.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { ReliantReader } from '../../db/issuers/rotation-store.ts'
import type { DeviceExport, ExportFilter } from '../../db/jobs/device-export.ts'
import type { OperatorReader } from '../../db/operators/operator-reader.ts'
import type { Policy, PolicyReader } from '../../db/policies/policy-reader.ts'
import type { LiveSessionReader } from '../../db/roll/live-sessions.ts'
import type { RevocationOutcome, StillAdmitting } from '../../db/roll/revocation-outcome.ts'
import type { Certificate, Device, RollReader } from '../../db/roll/roll-reader.ts'
import { deviceVersion } from '../../db/versions.ts'
import type { WebhookReader } from '../../db/webhooks/webhook-store.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { toPem } from '../../pki/pem.ts'
import type { PolicyDocument } from '../../policy/document.ts'
import type { AnchorService } from '../anchors/anchor-service.ts'
import type { AuditSealer } from '../audit/audit-sealer.ts'
import type { CaManager } from '../ca/ca-manager.ts'
import type { ClaimService } from '../enrollment/claim-service.ts'
import type { EnrollmentService } from '../enrollment/enrollment-service.ts'
import type { RegistrationAuthority } from '../enrollment/registration-authority.ts'
import type { Renewable } from '../enrollment/renewal-window.ts'
import type { EventService } from '../events/index.ts'
import type { Explainer } from '../explain/explain.ts'
import type { ImportService } from '../jobs/index.ts'
import type { Events } from '../logging/log.ts'
import { actorOf } from '../operators/authentication.ts'
import type { AuthorizationScope } from '../operators/authorization-scope.ts'
import type { LastUse } from '../operators/last-use.ts'
import type { OverviewService } from '../overview/overview.ts'
import type { PolicyResolver } from '../policies/policy-resolver.ts'
import type { AwaitReceipt } from '../receipt.ts'
import type { WebhookService } from '../webhooks/index.ts'
import type * as schemas from './schemas.ts'
import { ProblemDocument } from './schemas.ts'

export type Services = {
  writer: RegistryWriter
  roll: RollReader
  liveSessions: LiveSessionReader
  authority: RegistrationAuthority
  enrollments: EnrollmentReader
  enrollmentService: EnrollmentService
  claimService: ClaimService
  explainer: Explainer
  imports: ImportService
  /** A snapshot of the roll. */
  openExport: (filter: ExportFilter) => DeviceExport
  policies: PolicyReader
  policyResolver: PolicyResolver
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  issuers: () => Map<string, Issuer>
  anchors: AnchorService
  receipt: AwaitReceipt
  revocationOutcome: RevocationOutcome
  overview: OverviewService
  news: Pick<EventService, 'reader' | 'streams'>
  webhooks: { store: WebhookReader; desk: WebhookService }
  audit: { reader: AuditReader; sealer: Pick<AuditSealer, 'verification' | 'isTampered'> }
  ready: () => boolean
  events: Events
  deviceDays: number
  pq: PqMode
  now: () => number
  lookup: AdmissionLookup
  reach: AuthorizationScope
  operators: OperatorReader
  lastUse: LastUse
  ca: {
    keeper: CaManager
    reliant: ReliantReader
    /** From when on a certificate may be renewed. */
    opensAt: (certificate: Renewable) => number
    crl: (issuerId: string) => StoredCrl | null
    statusUrl: string
    keysEncrypted: boolean
    /** What is due once another CA issues: its CRL, its OCSP responder, the server certificate. Never throws. */
    followUp(): Promise<void>
  }
  /** PEM of our root. */
  rootPem: string
}

// biome-ignore lint/suspicious/noExplicitAny: fastify names its HTTPS server types so that only `any` fits both
export type Api = FastifyInstance<RawServerDefault, any, any, any, TypeBoxTypeProvider>

/** The answers every route may give besides its own. */
export const refusals = { '4xx': ProblemDocument, '5xx': ProblemDocument }
/** Each opens a route: an API token, the cookie of a console session, the certificate of an operator. */
export const secured = [{ token: [] }, { session: [] }, { operatorCertificate: [] }]

export function callerOf(request: FastifyRequest): { requestId: string; actor: string } {
  const { name, requestId } = actorOf(request)
  return { requestId, actor: name }
}

export function toDeviceResponse(device: Device, connected: boolean): schemas.Device {
  const { createdAt, updatedAt } = device
  return {
    ...device,
    connected,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
    version: deviceVersion(device),
  }
}

export function toCertificateResponse({ der: _, ...certificate }: Certificate): schemas.Certificate {
  const { notBefore, notAfter, graceUntil, issuedAt, firstUsedAt, revokedAt } = certificate
  return {
    ...certificate,
    notBefore: time(notBefore),
    notAfter: time(notAfter),
    graceUntil: timeOrNull(graceUntil),
    issuedAt: time(issuedAt),
    firstUsedAt: timeOrNull(firstUsedAt),
    revokedAt: timeOrNull(revokedAt),
  }
}

export function toAdmissibleResponse({ notAfter, graceUntil, ...certificate }: StillAdmitting) {
  return { ...certificate, notAfter: time(notAfter), graceUntil: timeOrNull(graceUntil) }
}

export function toCertificateWithPemResponse(
  certificate: Certificate,
  chainOf: Services['chainOf'],
): schemas.CertificateWithPem {
  return {
    ...toCertificateResponse(certificate),
    certificate: toPem(certificate.der, 'CERTIFICATE'),
    ...chainOf(certificate.issuerId),
  }
}

export function toPolicyResponse({ document, updatedAt, ...policy }: Policy) {
  return { ...policy, updatedAt: time(updatedAt), document: JSON.parse(document) as PolicyDocument }
}

export function time(at: number): string {
  return new Date(at).toISOString()
}

export function timeOrNull(at: number | null): string | null {
  return at === null ? null : time(at)
}
