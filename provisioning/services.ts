// What the routes call, put together from the parts that a start has made.
import type { AdmissionLookup } from '../db/admission-lookup.ts'
import { prepareAdmissionLookup } from '../db/admission-lookup.ts'
import type { AuditReader } from '../db/audit/audit-reader.ts'
import type { EnrollmentReader } from '../db/enrollment/enrollment-reader.ts'
import { createEnrollmentReader } from '../db/enrollment/enrollment-reader.ts'
import { prepareGrantLookup } from '../db/enrollment/grants.ts'
import type { Registry, RegistryWriter } from '../db/index.ts'
import { prepareArrivalLookup } from '../db/issuers/arrivals.ts'
import type { StoredCrl } from '../db/issuers/crl-store.ts'
import type { Issuer } from '../db/issuers/issuer-store.ts'
import type { ReliantReader } from '../db/issuers/rotation-store.ts'
import type { DeviceExport, ExportFilter } from '../db/jobs/device-export.ts'
import { openDeviceExport } from '../db/jobs/device-export.ts'
import { type NodeReader, prepareNodes } from '../db/nodes/node-reader.ts'
import type { OperatorReader } from '../db/operators/operator-reader.ts'
import { createOperatorReader } from '../db/operators/operator-reader.ts'
import type { PolicyReader } from '../db/policies/policy-reader.ts'
import { createPolicyReader } from '../db/policies/policy-reader.ts'
import type { RetainedReader } from '../db/retained/retained-reader.ts'
import { prepareAttestations } from '../db/roll/attestations.ts'
import { readCompromisedCertificates } from '../db/roll/compromised-certificates.ts'
import { prepareDenials } from '../db/roll/denials.ts'
import { type GroupReader, prepareGroups } from '../db/roll/groups.ts'
import { type LastSeenReader, prepareLastSeen } from '../db/roll/last-seen.ts'
import type { LiveSessionReader } from '../db/roll/live-sessions.ts'
import { prepareLiveSessions } from '../db/roll/live-sessions.ts'
import { prepareNearestDevice } from '../db/roll/nearest-device.ts'
import type { RevocationOutcome } from '../db/roll/revocation-outcome.ts'
import { prepareRevocationOutcome } from '../db/roll/revocation-outcome.ts'
import { createRollReader, type RollReader } from '../db/roll/roll-reader.ts'
import type { WebhookReader } from '../db/webhooks/webhook-store.ts'
import type { PqMode } from '../pki/key-policy.ts'
import { toPem } from '../pki/pem.ts'
import type { AnchorService } from './anchors/anchor-service.ts'
import type { AuditSealer } from './audit/audit-sealer.ts'
import type { CaManager } from './ca/ca-manager.ts'
import { chainOf } from './ca/issuer-chain.ts'
import type { ProvisioningConfig } from './config.ts'
import type { ClaimService } from './enrollment/claim-service.ts'
import { createClaimService } from './enrollment/claim-service.ts'
import type { EnrollmentService } from './enrollment/enrollment-service.ts'
import { createEnrollmentService } from './enrollment/enrollment-service.ts'
import type { RegistrationAuthority } from './enrollment/registration-authority.ts'
import { createRegistrationAuthority, type Unused } from './enrollment/registration-authority.ts'
import type { Renewable } from './enrollment/renewal-window.ts'
import type { SharedSecrets } from './enrollment/shared-secrets.ts'
import type { EventService } from './events/index.ts'
import type { Explainer } from './explain/explain.ts'
import { createExplainer } from './explain/explain.ts'
import type { ImportService } from './jobs/index.ts'
import { createImportService } from './jobs/index.ts'
import type { Log } from './logging/log.ts'
import type { AuthorizationScope } from './operators/authorization-scope.ts'
import { createAuthorizationScope } from './operators/authorization-scope.ts'
import type { LastUse } from './operators/last-use.ts'
import type { History, HistorySpan } from './overview/history.ts'
import type { OverviewService } from './overview/overview.ts'
import type { StateServices } from './overview/state-routes.ts'
import type { FleetTrials } from './policies/fleet-trials.ts'
import type { PolicyResolver } from './policies/policy-resolver.ts'
import { createPolicyResolver } from './policies/policy-resolver.ts'
import type { AwaitReceipt } from './receipt.ts'
import { createTpmEnrollment, type TpmEnrollment } from './tpm/tpm-enrollment.ts'
import { attestationOf, type TpmReader } from './tpm/tpm-response.ts'
import type { BrokerLink } from './tryouts/broker-link.ts'
import type { WebhookService } from './webhooks/index.ts'
import type { CsrReading } from './x509/csr.ts'

/** What the routes call. Each route file names the part of it that it needs. */
export type Services = {
  writer: RegistryWriter
  roll: RollReader
  liveSessions: LiveSessionReader
  lastSeen: LastSeenReader
  nodes: NodeReader
  groups: GroupReader
  retained: RetainedReader
  brokerLink: BrokerLink
  authority: RegistrationAuthority
  enrollments: EnrollmentReader
  enrollmentService: EnrollmentService
  tpmEnrollment: TpmEnrollment
  tpms: TpmReader
  claimService: ClaimService
  secrets: SharedSecrets
  /** How long a device that waits is told to wait before it asks again. */
  cmpCheckAfterSeconds: number
  explainer: Explainer
  imports: ImportService
  /** A snapshot of the roll. */
  openExport: (filter: ExportFilter) => DeviceExport
  policies: PolicyReader
  policyResolver: PolicyResolver
  fleetTrials: FleetTrials
  /** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
  chainOf: (issuerId: string | null) => { chain: string[]; ca: string | null }
  issuers: () => Map<string, Issuer>
  anchors: AnchorService
  receipt: AwaitReceipt
  revocationOutcome: RevocationOutcome
  overview: OverviewService
  history: (span: HistorySpan) => History
  state: StateServices['state']
  events: Pick<EventService, 'reader' | 'streams'>
  webhooks: { store: WebhookReader; service: WebhookService }
  audit: { reader: AuditReader; sealer: Pick<AuditSealer, 'verification' | 'isTampered'> }
  ready: () => boolean
  log: Log
  deviceDays: number
  pq: PqMode
  /** Where services share the registry: how their imports go. */
  sharing: { machine: string; leads(): boolean; goneMs: number } | null
  now: () => number
  lookup: AdmissionLookup
  authorizationScope: AuthorizationScope
  operators: OperatorReader
  lastUse: LastUse
  ca: {
    manager: CaManager
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

type ServiceParts = Pick<
  Services,
  | 'sharing'
  | 'writer'
  | 'issuers'
  | 'anchors'
  | 'fleetTrials'
  | 'lastUse'
  | 'overview'
  | 'history'
  | 'state'
  | 'events'
  | 'webhooks'
  | 'retained'
  | 'brokerLink'
  | 'audit'
  | 'ready'
  | 'log'
> & {
  config: Pick<ProvisioningConfig, 'deviceDays' | 'now' | 'pq' | 'unknownTpms' | 'cmpCheckAfterSeconds'>
  ca: Services['ca']
  receipt: Services['receipt']
  secrets: SharedSecrets
  readCsr: (pem: string) => Promise<CsrReading>
  reading: Registry
}

export function createServices(parts: ServiceParts): Services {
  const { writer, reading, issuers, anchors, lastUse, audit, ready, log } = parts
  const { now, deviceDays, pq, unknownTpms, cmpCheckAfterSeconds } = parts.config
  const compromised = readCompromisedCertificates(reading.sqlite)
  if (compromised.length > 0) log.compromisedKeysAdmit(compromised)
  const ca = parts.ca.manager.current
  const roll = createRollReader(reading)
  const liveSessions = prepareLiveSessions(reading.sqlite)
  const policies = createPolicyReader(reading)
  const lookup = prepareAdmissionLookup(reading.sqlite)
  const isDevice = async (id: string) => (await roll.device(id)) !== null
  const authority = createRegistrationAuthority({
    ca,
    writer,
    readCsr: parts.readCsr,
    issuers,
    unusedOf: (deviceId, spkiHash) => unusedOf(roll, ca().id, deviceId, spkiHash),
    async keyOf(fingerprint) {
      const certificate = await roll.certificate(fingerprint)
      if (certificate === null) throw new Error('a listed certificate cannot be read back')
      return certificate.spkiHash
    },
    isDevice,
    opensAt: parts.ca.opensAt,
    onIssued: log.issued,
    pq,
    now,
  })
  const { opensAt } = parts.ca
  const tpms = {
    endorsementKeyOf: writer.endorsementKeyOf,
    attestations: prepareAttestations(reading.sqlite),
  }
  const enrollmentService = createEnrollmentService({ authority, writer, roll, deviceDays, opensAt, now })
  const imports = createImportService({ ...parts, authority, deviceDays, now })
  return {
    imports,
    openExport: filter => openDeviceExport(reading.file, filter, now()),
    writer,
    roll,
    liveSessions,
    lastSeen: prepareLastSeen(reading.sqlite),
    nodes: prepareNodes(reading.sqlite),
    groups: prepareGroups(reading.sqlite),
    policies,
    policyResolver: createPolicyResolver(policies),
    fleetTrials: parts.fleetTrials,
    authority,
    enrollments: createEnrollmentReader(reading),
    claimService: createClaimService({ ca, writer, issuers, pq, now }),
    enrollmentService,
    secrets: parts.secrets,
    cmpCheckAfterSeconds,
    tpmEnrollment: createTpmEnrollment({ writer, enrollmentService, issuers, unknownTpms, now }),
    tpms,
    explainer: createExplainer({
      roll,
      lookup,
      nearest: prepareNearestDevice(reading.sqlite),
      arrivalOf: prepareArrivalLookup(reading.sqlite),
      denialsOf: prepareDenials(reading.sqlite),
      attestationOf: (deviceId, fingerprint) => attestationOf(tpms, deviceId, fingerprint),
      issuers,
      pq,
      now,
    }),
    lookup,
    authorizationScope: createAuthorizationScope({ roll, grants: prepareGrantLookup(reading.sqlite) }),
    lastUse,
    operators: createOperatorReader(reading),
    pq,
    sharing: parts.sharing,
    now,
    issuers,
    anchors,
    chainOf: id => chainOf(id, ca(), issuers),
    receipt: parts.receipt,
    revocationOutcome: prepareRevocationOutcome(reading.sqlite),
    overview: parts.overview,
    history: parts.history,
    state: parts.state,
    events: parts.events,
    webhooks: parts.webhooks,
    retained: parts.retained,
    brokerLink: parts.brokerLink,
    audit,
    ready,
    log,
    deviceDays,
    ca: parts.ca,
    rootPem: toPem(ca().root.raw, 'CERTIFICATE'),
  }
}

/** A certificate of this CA for this key that the device has not used yet: issued, approved, waiting for an operator, or rejected. */
async function unusedOf(
  roll: RollReader,
  issuerId: string,
  deviceId: string,
  spkiHash: string,
): Promise<Unused | null> {
  for (const status of ['issued', 'pending', 'active', 'rejected'] as const) {
    const { items } = await roll.certificates({ deviceId, status }, null, CERTIFICATES_LOOKED_AT)
    const same = items.find(
      item => item.spkiHash === spkiHash && item.issuerId === issuerId && item.firstUsedAt === null,
    )
    if (same !== undefined) return same
  }
  return null
}

/** Those that admit are two at most, and those that wait are bounded likewise. */
const CERTIFICATES_LOOKED_AT = 10
