// A private key under a passphrase: PKCS #8 with PBES2 (RFC 8018), scrypt (RFC 7914) and AES-256-CBC, as
// `openssl pkey` reads it. Node writes such files too, but with 2,048 rounds of PBKDF2, which a stolen disk does not last.
import { createCipheriv, createPrivateKey, type KeyObject, randomBytes, scryptSync } from 'node:crypto'
import { toPem } from '../../pki/pem.ts'
import { integer, octetString, oid, sequence } from '../x509/der.ts'

const LABEL = 'ENCRYPTED PRIVATE KEY'
/** 16 MiB and some 200 ms a guess. OpenSSL reads no more than 32 MiB without being told to. */
const SCRYPT = { N: 2 ** 14, r: 8, p: 5 } as const

export function sealKey(key: KeyObject, passphrase: string): string {
  const salt = randomBytes(16)
  const iv = randomBytes(16)
  const cipher = createCipheriv('aes-256-cbc', scryptSync(passphrase, salt, 32, SCRYPT), iv)
  const plain = key.export({ type: 'pkcs8', format: 'der' })
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  plain.fill(0)
  const cost = [SCRYPT.N, SCRYPT.r, SCRYPT.p].map(value => integer(value.toString(16)))
  const derivation = sequence(oid('1.3.6.1.4.1.11591.4.11'), sequence(octetString(salt), ...cost))
  const encryption = sequence(oid('2.16.840.1.101.3.4.1.42'), octetString(iv))
  const scheme = sequence(oid('1.2.840.113549.1.5.13'), sequence(derivation, encryption))
  return toPem(sequence(scheme, octetString(encrypted)), LABEL)
}

export function isSealed(pem: string): boolean {
  return pem.includes(`-----BEGIN ${LABEL}-----`)
}

/** Null where the passphrase does not open it. */
export function openKey(pem: string, passphrase: string): KeyObject | null {
  try {
    return createPrivateKey({ key: keyBlockOf(pem), passphrase })
  } catch {
    return null
  }
}

/** The key alone, where a certificate stands beside it. */
function keyBlockOf(pem: string): string {
  const [block] = new RegExp(`-----BEGIN ${LABEL}-----[^-]+-----END ${LABEL}-----`).exec(pem) ?? [pem]
  return block
}
