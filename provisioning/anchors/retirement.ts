// Whether anything on record needs a certificate that a renewed trust anchor had before: a key identifier may name the issuer by
// the serial number of its certificate (RFC 5280 §4.2.1.1), and then only that one leads to it.
import { X509Certificate } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { prepareIssuedBy } from '../../db/issuers/issued-certificates.ts'
import type { Issuer } from '../../db/issuers/issuer-store.ts'
import type { Registry } from '../../db/open.ts'
import { fingerprintOf } from '../../pki/certificate-facts.ts'
import { findIssuer } from '../../pki/chain.ts'

/** Each is parsed and verified: some 100 µs. */
const SLICE = 50

export function createRetirementCheck(reading: Registry, issuers: () => Map<string, Issuer>) {
  const issuedBy = prepareIssuedBy(reading)

  /** What would not lead to the issuer without this certificate of it, in words; null where nothing. */
  return async (issuer: Issuer, fingerprint: string): Promise<string | null> => {
    const replaced = issuer.replaced.filter(({ raw }) => fingerprintOf(raw) !== fingerprint)
    const without = { ...issuer, replaced }
    const relies = (certificate: X509Certificate) =>
      findIssuer(certificate, [issuer]) !== null && findIssuer(certificate, [without]) === null
    const below = [...issuers().values()].find(
      ({ parentId, certificate }) => parentId === issuer.id && relies(certificate),
    )
    if (below !== undefined) return `${below.name}, a CA below it`
    for (let after = ''; ; ) {
      const slice = issuedBy(issuer.id, after, SLICE)
      const last = slice.at(-1)
      if (last === undefined) return null
      const reliant = slice.find(({ der }) => relies(new X509Certificate(der)))
      if (reliant !== undefined) return `certificate ${reliant.fingerprint} of device ${reliant.deviceId}`
      after = last.serialNumber
      await setImmediate()
    }
  }
}
