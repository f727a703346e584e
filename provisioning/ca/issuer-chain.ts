// The certificates above a certificate, as its user must send or trust them. Decides nothing.
import { type Issuer, issuerLine } from '../../db/issuers/issuer-store.ts'
import { toPem } from '../../pki/pem.ts'
import type { IssuingCa } from './issuing-ca.ts'

/** PEM of the issuers above a certificate, without the root, and of the root. */
export function chainOf(
  issuerId: string | null,
  ca: IssuingCa,
  issuers: () => Map<string, Issuer>,
): { chain: string[]; ca: string | null } {
  if (issuerId === null) return { chain: [], ca: null }
  if (issuerId === ca.id) return { chain: ca.chain, ca: toPem(ca.root.raw, 'CERTIFICATE') }
  const pems = issuerLine(issuerId, issuers()).map(({ certificate }) => toPem(certificate.raw, 'CERTIFICATE'))
  return { chain: pems.slice(0, -1), ca: pems.at(-1) ?? null }
}
