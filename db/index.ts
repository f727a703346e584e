// The door to the record: who may read and who may write are different types.
import { createArrivalWriter } from './arrivals.ts'
import { createSelfRegistrar } from './auto-registration.ts'
import { createCertificateMover } from './certificate-moves.ts'
import { createCertificateWriter } from './certificate-writer.ts'
import { createClaimStore } from './claims.ts'
import { createDeadlineKeeper } from './deadlines.ts'
import { createDeviceWriter } from './device-writer.ts'
import { createEnrollmentTokenStore } from './enrollment-tokens.ts'
import { createIdempotencyStore } from './idempotency.ts'
import { createIdevidStore } from './idevids.ts'
import { createIssuanceHealer } from './issuances.ts'
import { createIssuerCrlWriter } from './issuer-crls.ts'
import { createIssuerWriter } from './issuer-store.ts'
import { createJobWriter } from './job-store.ts'
import { openForWriting, type Registry } from './open.ts'
import { createOperatorStore } from './operator-store.ts'
import { createPolicyWriter } from './policy-store.ts'
import { createRotationWriter } from './rotation-store.ts'
import { createTokenStore } from './token-store.ts'
import { createTrustAnchorWriter } from './trust-anchors.ts'

export type RegistryWriter = ReturnType<typeof createRegistryWriter>

/** Every verb that changes the record. Only provisioning holds one. */
export function createRegistryWriter(registry: Registry, now: () => number = Date.now) {
  return {
    ...createDeviceWriter(registry, now),
    ...createCertificateWriter(registry, now),
    ...createCertificateMover(registry, now),
    ...createDeadlineKeeper(registry, now),
    ...createEnrollmentTokenStore(registry, now),
    ...createClaimStore(registry, now),
    ...createIdevidStore(registry, now),
    ...createIssuanceHealer(registry, now),
    ...createIssuerWriter(registry, now),
    ...createRotationWriter(registry, now),
    ...createPolicyWriter(registry, now),
    ...createTokenStore(registry, now),
    ...createOperatorStore(registry, now),
    ...createIdempotencyStore(registry, now),
    ...createTrustAnchorWriter(registry, now),
    ...createArrivalWriter(registry, now),
    ...createIssuerCrlWriter(registry, now),
    ...createSelfRegistrar(registry, now),
    ...createJobWriter(registry, now),
  }
}

/** Closes the file, folding the write-ahead log into it where nobody else has it open. */
export async function closeRegistry(registry: Registry): Promise<void> {
  await registry.query.destroy()
  // Kysely closes only what it has queried through; a file left open would keep its write-ahead log.
  registry.sqlite.close()
}

export type { Registry }
export { openForWriting }
