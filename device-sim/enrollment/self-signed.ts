// A key of P-256 and a certificate that it signed itself, trusted by fingerprint alone. Does not know what they are for.
import { randomBytes } from 'node:crypto'
import { type Identity, identityFrom, loadX509 } from './identity.ts'
import { generatePrivateKey, keysOf, nodeCrypto, pkcs8Of, signingAlgorithms } from './signing-keys.ts'

/** From a day ago for `lastsMs`; `hosts` are names of a server, as DNS names. */
export async function selfSigned(
  name: string,
  lastsMs: number,
  hosts: readonly string[] = [],
): Promise<Identity> {
  const x509 = await loadX509()
  const key = await generatePrivateKey('p256')
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomBytes(16).toString('hex'),
      name: [{ CN: [name] }],
      notBefore: new Date(Date.now() - 86_400_000),
      notAfter: new Date(Date.now() + lastsMs),
      keys: keysOf(key, 'p256'),
      signingAlgorithm: signingAlgorithms.p256,
      ...(hosts.length === 0
        ? {}
        : {
            extensions: [
              new x509.SubjectAlternativeNameExtension(hosts.map(value => ({ type: 'dns', value }))),
            ],
          }),
    },
    nodeCrypto,
  )
  return identityFrom('', pkcs8Of(key), [certificate.toString('pem')])
}
