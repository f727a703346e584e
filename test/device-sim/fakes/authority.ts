// A small certificate authority made in the test: root, issuing CA, server certificate, device certificates.
import 'reflect-metadata'
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'

x509.cryptoProvider.set(webcrypto)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 86_400_000

export type Authority = Awaited<ReturnType<typeof createAuthority>>

export async function createAuthority() {
  const rootKeys = await generateKeys()
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=Test Root',
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 365 * day),
    keys: rootKeys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  })
  const issuingKeys = await generateKeys()
  const issuing = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: 'CN=Test Issuing CA',
    issuer: root.subjectName,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 300 * day),
    publicKey: issuingKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const serverKeys = await generateKeys()
  const server = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: 'CN=localhost',
    issuer: issuing.subjectName,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 90 * day),
    publicKey: serverKeys.publicKey,
    signingKey: issuingKeys.privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: 'localhost' },
        { type: 'ip', value: '127.0.0.1' },
      ]),
    ],
  })
  const issuingPem = pemOf(issuing)

  return {
    rootPem: pemOf(root),
    chain: [issuingPem],
    serverKey: x509.PemConverter.encode(
      await webcrypto.subtle.exportKey('pkcs8', serverKeys.privateKey),
      'PRIVATE KEY',
    ),
    serverChain: pemOf(server) + issuingPem,

    /** Checks the request's signature and issues CN = deviceId for its key. */
    async issue(csr: string, deviceId: string, notAfter = new Date(Date.now() + 90 * day)) {
      const request = new x509.Pkcs10CertificateRequest(csr)
      if (!(await request.verify())) throw new Error('the request is not signed by its key')
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial(),
        subject: `CN=${deviceId}`,
        issuer: issuing.subjectName,
        notBefore: new Date(notAfter.getTime() - 90 * day),
        notAfter,
        publicKey: request.publicKey,
        signingKey: issuingKeys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.SubjectAlternativeNameExtension([
            { type: 'url', value: `urn:rollcall:device:${deviceId}` },
          ]),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
        ],
      })
      const pem = pemOf(certificate)
      return { pem, fingerprint: fingerprintOf(new X509Certificate(pem).raw) }
    },

    /** Whether a peer's certificate was really signed by the issuing CA. */
    signed(der: Buffer): boolean {
      return new X509Certificate(der).verify(new X509Certificate(issuingPem).publicKey)
    },
  }
}

export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex')
}

async function generateKeys() {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
    'sign',
    'verify',
  ])
  return keys
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}

function serial(): string {
  return `4${randomBytes(15).toString('hex').slice(1)}`
}
