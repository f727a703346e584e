// The writer of the registry: every verb in one object. Reading and writing are different types.

import { createAcmeAccountStore } from './enrollment/acme-accounts.ts'
import { createClaimStore } from './enrollment/claims.ts'
import { createEndorsementKeyStore } from './enrollment/endorsement-keys.ts'
import { createEnrollmentTokenStore } from './enrollment/enrollment-tokens.ts'
import { createIdevidStore } from './enrollment/idevids.ts'
import { createIdempotencyStore } from './idempotency.ts'
import { createCertificateWriter } from './issuance/certificate-writer.ts'
import { createIssuanceReconciler } from './issuance/interrupted-issuances.ts'
import { createSelfRegistrar } from './issuance/self-registration.ts'
import { createArrivalWriter } from './issuers/arrivals.ts'
import { createIssuerCrlWriter } from './issuers/issuer-crls.ts'
import { createIssuerWriter } from './issuers/issuer-store.ts'
import { createRenewedAnchorWriter } from './issuers/renewed-anchors.ts'
import { createRotationWriter } from './issuers/rotation-store.ts'
import { createTrustAnchorWriter } from './issuers/trust-anchors.ts'
import { createJobWriter } from './jobs/job-store.ts'
import { createNodeDrainWriter } from './nodes/node-drains.ts'
import { closeRegistry, openForWriting, type Registry } from './open.ts'
import { createOperatorStore } from './operators/operator-store.ts'
import { createTokenStore } from './operators/token-store.ts'
import { createPolicyWriter } from './policies/policy-store.ts'
import { createRetainedWriter } from './retained/retained-writer.ts'
import { createCertificateGraceWriter } from './roll/certificate-grace.ts'
import { createCertificateTransitionWriter } from './roll/certificate-transitions.ts'
import { createCrlCompromiseWriter } from './roll/crl-compromise.ts'
import { createDeadlineWriter } from './roll/deadlines.ts'
import { createDeviceDeletion } from './roll/device-deletion.ts'
import { createDeviceWriter } from './roll/device-writer.ts'
import { createPinnedWriter } from './roll/pinned-certificates.ts'
import { createSessionWriter } from './roll/session-writer.ts'
import { createWebhookWriter } from './webhooks/webhook-store.ts'

export type RegistryWriter = ReturnType<typeof createRegistryWriter>

/** Every verb that changes the record. Only provisioning holds one. */
export function createRegistryWriter(registry: Registry, now: () => number = Date.now) {
  return {
    ...createDeviceWriter(registry, now),
    ...createDeviceDeletion(registry, now),
    ...createSessionWriter(registry, now),
    ...createNodeDrainWriter(registry, now),
    ...createRetainedWriter(registry, now),
    ...createCertificateWriter(registry, now),
    ...createCertificateTransitionWriter(registry, now),
    ...createPinnedWriter(registry, now),
    ...createCertificateGraceWriter(registry, now),
    ...createDeadlineWriter(registry, now),
    ...createEnrollmentTokenStore(registry, now),
    ...createClaimStore(registry, now),
    ...createAcmeAccountStore(registry, now),
    ...createIdevidStore(registry, now),
    ...createEndorsementKeyStore(registry, now),
    ...createIssuanceReconciler(registry, now),
    ...createIssuerWriter(registry, now),
    ...createRotationWriter(registry, now),
    ...createPolicyWriter(registry, now),
    ...createTokenStore(registry, now),
    ...createOperatorStore(registry, now),
    ...createIdempotencyStore(registry, now),
    ...createTrustAnchorWriter(registry, now),
    ...createRenewedAnchorWriter(registry, now),
    ...createArrivalWriter(registry, now),
    ...createIssuerCrlWriter(registry, now),
    ...createCrlCompromiseWriter(registry, now),
    ...createSelfRegistrar(registry, now),
    ...createJobWriter(registry, now),
    ...createWebhookWriter(registry, now),
  }
}

export type { Registry }
export { closeRegistry, openForWriting }
