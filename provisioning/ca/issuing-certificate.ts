// The certificate of an issuing CA: how a root signs one, and whether one that came from elsewhere may issue here.

import type { X509Certificate } from 'node:crypto'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as Parsed,
} from '@peculiar/x509'
import { validityIn } from '../../pki/certificate-facts.ts'
import { signUnder } from './issuing-ca.ts'
import { DAY_MS, issuingProfile, type Profile, randomSerialNumber, validityOf } from './profile.ts'
import type { Signer } from './signer.ts'
import type { SigningOrder } from './signing-order.ts'

const ISSUING_DAYS = 10 * 365

/** The first is without a number. */
export function issuingName(generation: number): string {
  return generation === 0 ? 'Rollcall issuing CA' : `Rollcall issuing CA ${generation + 1}`
}

/** DER of an issuing CA's certificate under this root. `spki` is DER. */
export function signIssuing(
  root: { certificate: X509Certificate; signer: Signer },
  order: { spki: Buffer; name: string; now: number },
): Promise<Buffer> {
  const rootNotAfter = validityIn(root.certificate).notAfter
  return signUnder(root, {
    ...caOrder(issuingProfile(order.name), ISSUING_DAYS, order.now, rootNotAfter),
    spki: order.spki,
  })
}

export function caOrder(
  profile: Profile,
  days: number,
  now: number,
  issuerNotAfter?: number,
): Omit<SigningOrder, 'spki'> {
  return {
    profile,
    serialNumber: randomSerialNumber(),
    // A CA is older than what it signs in its first minutes, so that leaves may be backdated.
    validity: validityOf(days, now - DAY_MS, issuerNotAfter),
  }
}

/** What keeps a certificate from being that of our next issuing CA, in words; empty where nothing does. */
export function issuingFaults(
  certificate: X509Certificate,
  root: X509Certificate,
  expected: { publicKey: Signer['publicKey']; now: number },
): string[] {
  const faults: string[] = []
  const check = (holds: boolean, fault: string) => void (holds || faults.push(fault))
  check(
    certificate.checkIssued(root) && certificate.verify(root.publicKey),
    'it was not signed by the root of this service',
  )
  check(certificate.publicKey.equals(expected.publicKey), 'it is not for the key of the last request')
  const parsed = new Parsed(new Uint8Array(certificate.raw))
  const constraints = parsed.getExtension(BasicConstraintsExtension)
  check(
    constraints?.ca === true && constraints.pathLength === 0,
    'it is not CA:TRUE with pathlen:0: it may sign certificates of devices and of no other CA',
  )
  const usages = parsed.getExtension(KeyUsagesExtension)?.usages ?? 0
  const needed = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign
  check((usages & needed) === needed, 'its key usage lacks keyCertSign or cRLSign')
  const { notBefore, notAfter } = validityIn(certificate)
  check(notBefore <= expected.now, 'it is not valid yet')
  check(notAfter > expected.now, 'it has expired')
  return faults
}
