// A certificate for a moment: P-256, signed by its own key, for a check of this process by itself. No CA signs it and none trusts it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** Both PEM; the key is PKCS #8. */
export type SelfSigned = { certificate: string; key: string }

/** Valid for a year from now, with that common name and no extensions. */
export async function selfSigned(name: string): Promise<SelfSigned> {
  const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    { name: `CN=${name}`, keys, signingAlgorithm },
    webcrypto as never,
  )
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { certificate: certificate.toString('pem'), key: x509.PemConverter.encode(der, 'PRIVATE KEY') }
}
