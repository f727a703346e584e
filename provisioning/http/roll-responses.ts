// How devices and certificates of the roll look on the wire.

import { deviceEntityTag } from '../../db/entity-tags.ts'
import type { LastSeen } from '../../db/roll/last-seen.ts'
import type { StillAdmissible } from '../../db/roll/revocation-outcome.ts'
import type { Certificate, Device } from '../../db/roll/roll-reader.ts'
import { toPem } from '../../pki/pem.ts'
import { time, timeOrNull } from './api.ts'
import type * as schemas from './schemas.ts'

/** PEM of an issuer and of what stands above it up to, but without, the root; and of the root. */
export type ChainOf = (issuerId: string | null) => { chain: string[]; ca: string | null }

export function toDeviceResponse(
  device: Device,
  connected: boolean,
  lastSeen: LastSeen | null,
): schemas.Device {
  const { createdAt, updatedAt, certificate } = device
  return {
    ...device,
    connected,
    lastSeen: lastSeen && {
      ...lastSeen,
      connectedAt: time(lastSeen.connectedAt),
      disconnectedAt: timeOrNull(lastSeen.disconnectedAt),
    },
    certificate: certificate && { ...certificate, notAfter: time(certificate.notAfter) },
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
    version: deviceEntityTag(device),
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

export function toAdmissibleResponse({ notAfter, graceUntil, ...certificate }: StillAdmissible) {
  return { ...certificate, notAfter: time(notAfter), graceUntil: timeOrNull(graceUntil) }
}

export function toCertificateWithPemResponse(
  certificate: Certificate,
  chainOf: ChainOf,
): schemas.CertificateWithPem {
  return {
    ...toCertificateResponse(certificate),
    certificate: toPem(certificate.der, 'CERTIFICATE'),
    ...chainOf(certificate.issuerId),
  }
}
