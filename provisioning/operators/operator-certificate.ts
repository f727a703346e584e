// Whether a certificate may be an operator's: a leaf for client authentication that was not issued here, for a device.

import { X509Certificate } from 'node:crypto'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import { certificateFacts, fingerprintOf } from '../../pki/certificate-facts.ts'
import { findIssuer } from '../../pki/chain.ts'
import type { PqMode } from '../../pki/key-policy.ts'
import { validateLeaf } from '../../pki/leaf-policy.ts'
import type { Fault } from '../http/problem.ts'
import { Problem } from '../http/problem.ts'
import { onlyCertificate } from '../x509/foreign-certificate.ts'
import { x509Problems } from '../x509/x509-problems.ts'

/** The DER and its end in ms. Throws `certificate_invalid`, or `certificate_issued_here` for what our CAs signed. */
export function validateOperatorCertificate(
  pem: string,
  { issuers, pq, now }: { issuers: Map<string, Issuer>; pq: PqMode; now: number },
): { der: Buffer; notAfter: number } {
  const der = onlyCertificate(pem)
  if (typeof der === 'string') throw invalid([{ path: 'certificate', message: der }])
  const faults = validateLeaf(der, { pinned: true, pq })
  if (faults.length > 0) throw invalid(faults)
  const leaf = new X509Certificate(der)
  const issuer = issuers.get(findIssuer(leaf, issuers.values())?.id ?? '')
  if (issuers.has(fingerprintOf(der)) || (issuer !== undefined && issuer.kind !== 'foreign')) {
    throw new Problem(
      x509Problems,
      'certificate_issued_here',
      'what our CAs sign is for devices: use a certificate of another issuer',
    )
  }
  const { notAfter } = certificateFacts(leaf)
  if (notAfter < now) {
    const message = `it expired at ${new Date(notAfter).toISOString()}`
    throw invalid([{ path: 'certificate.validity', message }])
  }
  return { der, notAfter }
}

function invalid(faults: Fault[]): Problem {
  const detail = faults.map(fault => `${fault.path}: ${fault.message}`).join('; ')
  return new Problem(x509Problems, 'certificate_invalid', detail, { errors: faults })
}
