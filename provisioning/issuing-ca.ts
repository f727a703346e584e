// The CA: signs what it is told to sign, and never decides whether it should.
// The registration authority decides; nothing here reads a CSR or the registry.
import 'reflect-metadata'
import { type KeyObject, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { fingerprintOf } from '../pki/certificate-facts.ts'
import { toPem } from '../pki/pem.ts'
import { spkiOf } from './keys.ts'
import type { Profile, Validity } from './profile.ts'
import { type Signer, signerOf } from './signer.ts'

/** One certificate to sign: what it says, for which public key (SPKI DER), under which serial number (hex). */
export type SigningOrder = { profile: Profile; spki: Buffer; serialNumber: string; validity: Validity }

export type IssuingCa = {
  /** The fingerprint of the issuing certificate: its id in the registry. */
  id: string
  certificate: X509Certificate
  root: X509Certificate
  /** When the first of the two expires, in ms since the epoch. */
  notAfter: number
  /** PEM of the certificates a server or device sends above its leaf, without the root. */
  chain: string[]
  /** DER of the signed certificate. */
  sign(order: SigningOrder): Promise<Buffer>
}

export function createIssuingCa(parts: {
  root: X509Certificate
  certificate: X509Certificate
  signer: Signer
}): IssuingCa {
  const { root, certificate, signer } = parts
  return {
    id: fingerprintOf(certificate.raw),
    certificate,
    root,
    notAfter: Math.min(Date.parse(certificate.validTo), Date.parse(root.validTo)),
    chain: [toPem(certificate.raw, 'CERTIFICATE')],
    sign: order => signUnder({ certificate, signer }, order),
  }
}

/** Signs a certificate with its own key: a root. */
export async function signItself(key: KeyObject, order: Omit<SigningOrder, 'spki'>): Promise<Buffer> {
  const spki = spkiOf(key)
  return signed({ ...order, spki }, signerOf(key), { name: order.profile.subject, spki })
}

/** Signs a certificate in the name of another. */
export async function signUnder(
  issuer: { certificate: X509Certificate; signer: Signer },
  order: SigningOrder,
): Promise<Buffer> {
  const name = new x509.X509Certificate(new Uint8Array(issuer.certificate.raw)).subjectName
  return signed(order, issuer.signer, { name, spki: spkiOf(issuer.certificate.publicKey) })
}

async function signed(
  order: SigningOrder,
  signer: Signer,
  issuer: { name: x509.Name; spki: Buffer },
): Promise<Buffer> {
  const publicKey = new x509.PublicKey(new Uint8Array(order.spki))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: order.serialNumber,
      subject: order.profile.subject,
      issuer: issuer.name,
      notBefore: new Date(order.validity.notBefore),
      notAfter: new Date(order.validity.notAfter),
      publicKey,
      signingKey: { algorithm: signer.algorithm.web } as unknown as CryptoKey,
      signingAlgorithm: signer.algorithm.web,
      extensions: [
        ...order.profile.extensions,
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(new x509.PublicKey(new Uint8Array(issuer.spki))),
      ],
    },
    cryptoOf(signer),
  )
  return Buffer.from(certificate.rawData)
}

type CryptoKey = Parameters<typeof crypto.subtle.sign>[1]

/** What the generator asks of WebCrypto: one signature. The key stays where it is. */
function cryptoOf(signer: Signer): WebCrypto {
  const sign = async (_algorithm: unknown, _key: unknown, bytes: ArrayBuffer) =>
    signer.sign(new Uint8Array(bytes), 'ieee-p1363')
  return { subtle: { sign } } as unknown as WebCrypto
}

type WebCrypto = NonNullable<Parameters<typeof x509.X509CertificateGenerator.create>[1]>

/** The certificate in a PEM text; throws where there is none. */
export function certificateOf(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw new Error(`${file} holds no readable certificate: restore it from a backup`, { cause })
  }
}
