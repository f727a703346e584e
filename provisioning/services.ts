// What the routes call, put together from the parts that a start has made.
import { prepareAdmissionLookup } from '../db/admission-lookup.ts'
import { createEnrollmentReader } from '../db/enrollment/enrollment-reader.ts'
import { prepareGrantLookup } from '../db/enrollment/grants.ts'
import type { Registry } from '../db/index.ts'
import { prepareArrivalLookup } from '../db/issuers/arrivals.ts'
import { openDeviceExport } from '../db/jobs/device-export.ts'
import { createOperatorReader } from '../db/operators/operator-reader.ts'
import { createPolicyReader } from '../db/policies/policy-reader.ts'
import { readCompromisedAdmitting } from '../db/roll/compromised-admitting.ts'
import { prepareLiveSessions } from '../db/roll/live-sessions.ts'
import { prepareNearestDevice } from '../db/roll/nearest-device.ts'
import { prepareRevocationOutcome } from '../db/roll/revocation-outcome.ts'
import { createRollReader, type RollReader } from '../db/roll/roll-reader.ts'
import { toPem } from '../pki/pem.ts'
import { chainOf } from './ca/issuer-chain.ts'
import type { ProvisioningConfig } from './config.ts'
import { createClaimService } from './enrollment/claim-service.ts'
import { createEnrollmentService } from './enrollment/enrollment-service.ts'
import { createRegistrationAuthority, type Unused } from './enrollment/registration-authority.ts'
import { createExplainer } from './explain/explain.ts'
import type { Services } from './http/context.ts'
import { createImportService } from './jobs/index.ts'
import { createAuthorizationScope } from './operators/authorization-scope.ts'
import { createPolicyResolver } from './policies/policy-resolver.ts'
import type { CsrReading } from './x509/csr.ts'

export type ServiceParts = Pick<
  Services,
  | 'writer'
  | 'issuers'
  | 'anchors'
  | 'lastUse'
  | 'overview'
  | 'news'
  | 'webhooks'
  | 'audit'
  | 'ready'
  | 'events'
> & {
  config: Pick<ProvisioningConfig, 'deviceDays' | 'now' | 'pq'>
  ca: Services['ca']
  receipt: Services['receipt']
  readCsr: (pem: string) => Promise<CsrReading>
  reading: Registry
}

export function createServices(parts: ServiceParts): Services {
  const { writer, reading, issuers, anchors, lastUse, audit, ready, events } = parts
  const { now, deviceDays, pq } = parts.config
  const compromised = readCompromisedAdmitting(reading.sqlite)
  if (compromised.length > 0) events.compromisedKeysAdmit(compromised)
  const ca = parts.ca.keeper.current
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
    onIssued: events.issued,
    pq,
    now,
  })
  const imports = createImportService({ ...parts, authority, deviceDays, now })
  return {
    imports,
    openExport: filter => openDeviceExport(reading.file, filter),
    writer,
    roll,
    liveSessions,
    policies,
    policyResolver: createPolicyResolver(policies),
    authority,
    enrollments: createEnrollmentReader(reading),
    claimService: createClaimService({ ca, writer, issuers, pq, now }),
    enrollmentService: createEnrollmentService({ authority, writer, roll, deviceDays, now }),
    explainer: createExplainer({
      roll,
      lookup,
      nearest: prepareNearestDevice(reading.sqlite),
      arrivalOf: prepareArrivalLookup(reading.sqlite),
      issuers,
      pq,
      now,
    }),
    lookup,
    reach: createAuthorizationScope({ roll, grants: prepareGrantLookup(reading.sqlite) }),
    lastUse,
    operators: createOperatorReader(reading),
    pq,
    now,
    issuers,
    anchors,
    chainOf: id => chainOf(id, ca(), issuers),
    receipt: parts.receipt,
    revocationOutcome: prepareRevocationOutcome(reading.sqlite),
    overview: parts.overview,
    news: parts.news,
    webhooks: parts.webhooks,
    audit,
    ready,
    events,
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
