// How OCSP names an issuer: by hashes of its name and of its key's bits (RFC 6960 §4.1.1), in hex.
import 'reflect-metadata'
import { createHash, type X509Certificate } from 'node:crypto'
import { AsnConvert } from '@peculiar/asn1-schema'
import { SubjectPublicKeyInfo } from '@peculiar/asn1-x509'
import * as x509 from '@peculiar/x509'
import { spkiOf } from '../ca/keys.ts'

type CertIdHash = 'sha1' | 'sha256'

/** The algorithms that clients may name an issuer with. */
export const certIdHashes: Readonly<Record<string, CertIdHash>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
}

export function nameHashOf(issuer: X509Certificate, hash: CertIdHash): string {
  const name = new x509.X509Certificate(new Uint8Array(issuer.raw)).subjectName
  return createHash(hash).update(new Uint8Array(name.toArrayBuffer())).digest('hex')
}

export function keyHashOf(certificate: X509Certificate, hash: CertIdHash): string {
  const { subjectPublicKey } = AsnConvert.parse(spkiOf(certificate.publicKey), SubjectPublicKeyInfo)
  return createHash(hash).update(new Uint8Array(subjectPublicKey)).digest('hex')
}
