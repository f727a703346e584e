// Renewal information (RFC 9773): when a certificate should be renewed. The window is that of every other way: from when renewal is open until it is critical.
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Certificate, RollReader } from '../../db/roll/roll-reader.ts'
import { extensionIds } from '../../pki/certificate-extensions.ts'
import { readOrThrow } from '../../pki/certificate-facts.ts'
import { contentOf, elementsOf, tags, wholeElement } from '../../pki/der-reader.ts'
import { renewalCriticalAt } from '../../pki/renewal-window.ts'
import type { Renewable } from '../enrollment/renewal-window.ts'
import { time } from '../http/api.ts'
import { acmeFault } from './acme-problems.ts'

/** A client asks again after so long; an early renewal, for another CA, is known to it by then. */
export const RENEWAL_INFO_SECONDS = 6 * 60 * 60

type Parts = {
  roll: Pick<RollReader, 'certificate' | 'fingerprintOfSerial'>
  issuers: () => Map<string, Issuer>
  opensAt: (certificate: Renewable) => number
  now: () => number
}

/** Gives the answer for a certificate identifier (RFC 9773 §4.1). Throws `acme_malformed` for one of none of ours. */
export function createRenewalInfo({ roll, issuers, opensAt, now }: Parts) {
  return async (id: string) => {
    const certificate = await find(id)
    if (certificate === null)
      throw acmeFault('acme_malformed', 'it identifies no certificate that was issued here')
    return { suggestedWindow: windowOf(certificate) }
  }

  async function find(id: string): Promise<Certificate | null> {
    const [, serial = ''] = id.split('.')
    const serialNumber = Buffer.from(serial, 'base64url')
      .toString('hex')
      .replace(/^(00)+(?=..)/, '')
    for (const issuer of issuers().values()) {
      if (issuer.kind !== 'issuing') continue
      const fingerprint = roll.fingerprintOfSerial(issuer.id, serialNumber)
      const certificate = fingerprint === null ? null : await roll.certificate(fingerprint)
      if (certificate !== null && certificateIdOf(certificate.der) === id) return certificate
    }
    return null
  }

  /** One that does not admit any more has its window behind it: renew now (RFC 9773 §4.2). */
  function windowOf(certificate: Certificate) {
    const { status } = certificate
    const holds = status === 'issued' || status === 'active'
    const start = holds ? opensAt(certificate) : now() - 2_000
    const end = holds ? Math.max(renewalCriticalAt(certificate), start + 1_000) : now() - 1_000
    return { start: time(start), end: time(end) }
  }
}

/** base64url of the authority key identifier, and of the serial number's octets; null where it has no such identifier. */
export function certificateIdOf(der: Buffer): string | null {
  const { extensions, serialNumber } = readOrThrow(der)
  const found = extensions.find(({ oid }) => oid === extensionIds.authorityKeyIdentifier)
  if (found === undefined) return null
  const KEY_IDENTIFIER = 0x80
  const parts = [...elementsOf(found.value, wholeElement(found.value, tags.sequence))]
  const keyId = parts.find(({ tag }) => tag === KEY_IDENTIFIER)
  if (keyId === undefined) return null
  return `${contentOf(found.value, keyId).toString('base64url')}.${serialNumber.toString('base64url')}`
}
