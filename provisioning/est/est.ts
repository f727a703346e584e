// EST on the wire (RFC 7030 as RFC 8951 corrects it): certs-only PKCS #7 and CSR attributes.
// Pure: knows neither HTTP nor the registry.
import { integer, oid, sequence, setOf, tagged } from '../x509/der.ts'

export const CERTS_ONLY = 'application/pkcs7-mime; smime-type=certs-only'
export const CSR_ATTRIBUTES = 'application/csrattrs'

/**
 * What requests should hold (RFC 8951 §3.2, RFC 7030 §4.5.2): a key on P-256, signed with ECDSA and SHA-256. DER, base64:
 * SEQUENCE { SEQUENCE { id-ecPublicKey, SET { prime256v1 } }, ecdsa-with-SHA256 }. Other acceptable keys are taken too.
 */
export const csrAttributes = 'MCEwFQYHKoZIzj0CATEKBggqhkjOPQMBBwYIKoZIzj0EAwI='

const ID_SIGNED_DATA = '1.2.840.113549.1.7.2'
const ID_DATA = '1.2.840.113549.1.7.1'

/**
 * A degenerate SignedData (RFC 5652 §5.1) that holds these certificates, in their order: DER in base64 without line breaks (RFC 8951
 * §3.1). It has no signers and so no eContent (§5.2): neither an empty one.
 */
export function certsOnly(certificates: readonly Buffer[]): string {
  const signedData = sequence(
    integer('01'),
    setOf(),
    sequence(oid(ID_DATA)),
    tagged(0, ...certificates),
    setOf(),
  )
  return sequence(oid(ID_SIGNED_DATA), tagged(0, signedData)).toString('base64')
}
