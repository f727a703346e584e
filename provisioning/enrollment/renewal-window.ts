// When a device may renew: at two thirds of its certificate's life, or earlier where another CA has taken over from the one
// that issued it. Pure but for what it is given to read.
import type { Rotation } from '../../db/issuers/rotation-store.ts'
import { renewalOpensAt, turnOf, type ValidityPeriod } from '../../pki/renewal-window.ts'

export type Renewable = ValidityPeriod & { fingerprint: string; issuerId: string | null }

/** `isOurs` tells whether an issuer is, or was, an issuing CA of this service. */
export function createRenewalWindow(parts: {
  rotations: () => readonly Rotation[]
  isOurs: (issuerId: string) => boolean
}): (certificate: Renewable) => number {
  return certificate => {
    const opensAt = renewalOpensAt(certificate)
    const { issuerId, fingerprint } = certificate
    if (issuerId === null || !parts.isOurs(issuerId)) return opensAt
    const rotations = parts.rotations()
    // The first CA came of no rotation: all of them were later.
    const own = rotations.findIndex(rotation => rotation.issuerId === issuerId)
    const turns = rotations.slice(own + 1).map(rotation => turnOf(fingerprint, rotation))
    return Math.min(opensAt, ...turns)
  }
}
