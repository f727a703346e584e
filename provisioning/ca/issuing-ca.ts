// The CA: signs what it is told to sign, and never decides whether it should.
// The registration authority decides; nothing here reads a CSR or the registry.
import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { Certificate } from '@peculiar/asn1-x509'
import * as x509 from '@peculiar/x509'
import { BitString, Primitive } from 'asn1js'
import { fingerprintOf, validityIn } from '../../pki/certificate-facts.ts'
import { certificateBlocks, toPem } from '../../pki/pem.ts'
import { createTemplates } from './certificate-template.ts'
import { spkiOf } from './keys.ts'
import type { Signer } from './signer.ts'
import type { SigningOrder, ToBeSigned } from './signing-order.ts'

export type IssuingCa = {
  /** The fingerprint of the issuing certificate: its id in the registry. */
  id: string
  certificate: X509Certificate
  root: X509Certificate
  /** When the first of the two expires, in ms since the epoch. */
  notAfter: number
  signer: Signer
  /** PEM of the certificates a server or device sends above its leaf, without the root. */
  chain: string[]
  /** DER of the signed certificate. */
  sign(order: SigningOrder): Promise<Buffer>
}

export function createIssuingCa(parts: {
  root: X509Certificate
  certificate: X509Certificate
  signer: Signer
  /** What every leaf carries besides its profile: where to ask about it. */
  pointers?: (issuerId: string) => x509.Extension[]
}): IssuingCa {
  const { root, certificate, signer } = parts
  const issuer = issuerOf(parts)
  const pointers = parts.pointers?.(fingerprintOf(certificate.raw)) ?? []
  const templates = createTemplates(({ profile, ...order }) =>
    toBeSigned(issuer, {
      ...order,
      profile: {
        ...profile,
        extensions: [...profile.extensions, ...(profile.pointers === false ? [] : pointers)],
      },
    }),
  )
  return {
    id: fingerprintOf(certificate.raw),
    certificate,
    root,
    signer,
    notAfter: Math.min(validityIn(certificate).notAfter, validityIn(root).notAfter),
    chain: [toPem(certificate.raw, 'CERTIFICATE')],
    sign: async order => signed(issuer, await templates.toBeSigned(order)),
  }
}

/** Signs a certificate with its own key: a root. */
export async function signItself(signer: Signer, order: Omit<SigningOrder, 'spki'>): Promise<Buffer> {
  const spki = spkiOf(signer.publicKey)
  const issuer = { name: order.profile.subject, spki, signer }
  return signed(issuer, await toBeSigned(issuer, { ...order, spki }))
}

/** Signs a certificate in the name of another. */
export async function signUnder(
  parts: { certificate: X509Certificate; signer: Signer },
  order: SigningOrder,
): Promise<Buffer> {
  const issuer = issuerOf(parts)
  return signed(issuer, await toBeSigned(issuer, order))
}

/** The issuer: its name and key, which stand in signed certificates, and its signer. */
type IssuerParts = { name: x509.Name; spki: Buffer; signer: Signer }
function issuerOf({ certificate, signer }: { certificate: X509Certificate; signer: Signer }): IssuerParts {
  const name = new x509.X509Certificate(new Uint8Array(certificate.raw)).subjectName
  return { name, spki: spkiOf(certificate.publicKey), signer }
}

async function toBeSigned({ name, spki, signer }: IssuerParts, order: SigningOrder): Promise<ToBeSigned> {
  const publicKey = new x509.PublicKey(new Uint8Array(order.spki))
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: order.serialNumber,
    subject: order.profile.subject,
    issuer: name,
    notBefore: new Date(order.validity.notBefore),
    notAfter: new Date(order.validity.notAfter),
    publicKey,
    signingAlgorithm: signer.algorithm.web,
    // Left out again below: the signature comes later, from the holder of the key.
    signature: new Uint8Array(96),
    extensions: [
      ...order.profile.extensions,
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(new x509.PublicKey(new Uint8Array(spki))),
    ],
  })
  const { tbsCertificateRaw, signatureAlgorithm } = AsnConvert.parse(certificate.rawData, Certificate)
  if (tbsCertificateRaw === undefined) throw new Error('the library gives no TBSCertificate')
  return {
    tbs: Buffer.from(tbsCertificateRaw),
    algorithm: Buffer.from(AsnConvert.serialize(signatureAlgorithm)),
  }
}

async function signed({ signer }: IssuerParts, { tbs, algorithm }: ToBeSigned): Promise<Buffer> {
  const signature = new BitString({ valueHex: new Uint8Array(await signer.sign(tbs)) }).toBER()
  const content = Buffer.concat([tbs, algorithm, Buffer.from(signature)])
  // A SEQUENCE whose content is encoded already.
  const certificate = new Primitive({
    idBlock: { tagClass: 1, tagNumber: 16 },
    valueHex: new Uint8Array(content),
  })
  certificate.idBlock.isConstructed = true
  return Buffer.from(certificate.toBER())
}

/** The one certificate of a file in PEM. Throws where there is none, or more than one. */
export function certificateOf(pem: string, file: string): X509Certificate {
  const [der, ...more] = certificateBlocks(pem)
  if (more.length > 0) throw new Error(`${file} must hold exactly one certificate: restore it from a backup`)
  try {
    if (der === undefined) throw new Error('no whole block BEGIN CERTIFICATE')
    return new X509Certificate(der)
  } catch (cause) {
    throw new Error(`${file} holds no readable certificate: restore it from a backup`, { cause })
  }
}
