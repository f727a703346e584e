// What a CA is told to sign, and the bytes that it signs. Data alone.
import type { Profile, Validity } from './profile.ts'

/** One certificate to sign: what it says, for which public key (SPKI DER), under which serial number (hex). */
export type SigningOrder = { profile: Profile; spki: Buffer; serialNumber: string; validity: Validity }

/** DER of the TBSCertificate and of the AlgorithmIdentifier that stands in and behind it (RFC 5280 §4.1). */
export type ToBeSigned = { tbs: Buffer; algorithm: Buffer }
