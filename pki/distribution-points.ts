// Where a certificate says that its CRL is (RFC 5280 §4.2.1.13), and what an issuing distribution point says that a CRL is about
// (§5.2.5). Reads and compares; fetches nothing.
import 'reflect-metadata'
import { AsnConvert } from '@peculiar/asn1-schema'
import { type DistributionPointName, IssuingDistributionPoint } from '@peculiar/asn1-x509'
import * as x509 from '@peculiar/x509'

/** What a CRL covers of its issuer's certificates. `points` are URIs, null where it covers all that name any point or none. */
export type CrlCoverage = { points: readonly string[] | null; endEntitiesOnly: boolean }

export const coversAll: CrlCoverage = { points: null, endEntitiesOnly: false }

/**
 * What the issuing distribution point of a CRL (DER of the extension's value) restricts it to, or in words why it is not the whole
 * truth about any certificate: the field that says so is named.
 */
export function coverageOf(value: Buffer): CrlCoverage | string {
  const point = AsnConvert.parse(value, IssuingDistributionPoint)
  if (point.indirectCRL) return 'indirectCRL: it is an indirect CRL; send one of this CA alone'
  if (point.onlySomeReasons) return 'onlySomeReasons: it is about some reasons only; send the complete one'
  for (const field of ['onlyContainsCACerts', 'onlyContainsAttributeCerts'] as const)
    if (point[field]) return `${field}: it is not about the certificates of devices`
  const points = point.distributionPoint === undefined ? null : urisOf(point.distributionPoint)
  if (points?.length === 0)
    return 'distributionPoint: it names no URI, so no certificate can be matched with it; send the complete one'
  return { points, endEntitiesOnly: point.onlyContainsUserCerts }
}

/**
 * Whether a CRL with this coverage tells of a certificate: RFC 5280 §6.3.3 (b)(2)(i). One of its names must be a name of one of the
 * certificate's distribution points; a point for some reasons, or with the CRL of another issuer, is none. In doubt it does not.
 */
export function covers({ points }: CrlCoverage, certificate: Buffer): boolean {
  if (points === null) return true
  try {
    const named = new x509.X509Certificate(new Uint8Array(certificate)).getExtension(
      x509.CRLDistributionPointsExtension,
    )
    return (named?.distributionPoints ?? []).some(
      ({ distributionPoint, reasons, cRLIssuer }) =>
        distributionPoint !== undefined &&
        reasons === undefined &&
        cRLIssuer === undefined &&
        urisOf(distributionPoint).some(uri => points.includes(uri)),
    )
  } catch {
    return false
  }
}

function urisOf({ fullName }: DistributionPointName): string[] {
  return (fullName ?? []).flatMap(({ uniformResourceIdentifier: uri }) => (uri === undefined ? [] : [uri]))
}
