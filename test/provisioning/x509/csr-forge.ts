// PKCS #10 requests that no tool makes: any key, any names, any attributes, any signature, written DER by DER.
import { createPublicKey, ECDH, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { toPem } from '../../../pki/pem.ts'

export const der = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  const hex = length.toString(16)
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.of(tag, 0x80 | octets.length), octets, content])
}
export const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
export const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
const bits = (content: Uint8Array) => der(0x03, Buffer.of(0), content)

/** A name of these common names, each in an RDN of its own. */
export const commonNames = (...names: (string | Buffer)[]) =>
  sequence(...names.map(name => der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name))))))

/** An extension; critical where told. */
export const extension = (id: string, value: Uint8Array, critical = false) =>
  sequence(oid(id), ...(critical ? [Buffer.of(1, 1, 0xff)] : []), der(0x04, value))
export const extensions = {
  ca: extension('551d13', sequence(Buffer.of(1, 1, 0xff)), true),
  keyCertSign: extension('551d0f', Buffer.from('03020106', 'hex'), true),
  anyUsage: extension('551d25', sequence(oid('551d2500'))),
  serverAuth: extension('551d25', sequence(oid('2b06010505070301'))),
  uri: (uri: string) => extension('551d11', sequence(der(0x86, Buffer.from(uri)))),
  dns: (name: string) => extension('551d11', sequence(der(0x82, Buffer.from(name)))),
}
/** The extensionRequest attribute (RFC 2985 §5.4.2). */
export const requesting = (...wanted: Uint8Array[]) => attribute('2a864886f70d01090e', sequence(...wanted))
export const attribute = (id: string, value: Uint8Array) => sequence(oid(id), der(0x31, value))

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'))
export const sha256WithRsa = sequence(oid('2a864886f70d01010b'), Buffer.of(5, 0))
export const ed25519Signature = sequence(oid('2b6570'))

export type Forgery = {
  version?: number
  subject?: Uint8Array
  spki?: Uint8Array
  attributes?: Uint8Array[]
  algorithm?: Uint8Array
  /** Instead of one by the key that is in the request. */
  signature?: Uint8Array
  key?: KeyObject
  /** SHA-256 where nothing else is told; null where the key says it. */
  hash?: string | null
}

/** A request with these parts, signed with a P-256 key of its own where nothing else is told. Gives its DER. */
export function forged(forgery: Forgery = {}): Buffer {
  const key = forgery.key ?? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const spki = forgery.spki ?? createPublicKey(key).export({ type: 'spki', format: 'der' })
  const info = sequence(
    Buffer.of(2, 1, forgery.version ?? 0),
    forgery.subject ?? commonNames('whoever'),
    spki,
    der(0xa0, ...(forgery.attributes ?? [])),
  )
  const signature = forgery.signature ?? sign(forgery.hash === undefined ? 'sha256' : forgery.hash, info, key)
  return sequence(info, forgery.algorithm ?? ecdsaWithSha256, bits(signature))
}

export const forgedPem = (forgery: Forgery = {}) => toPem(forged(forgery), 'CERTIFICATE REQUEST')

/** A SubjectPublicKeyInfo of P-256 with this point. */
export const p256Spki = (point: Uint8Array) =>
  sequence(sequence(oid('2a8648ce3d0201'), oid('2a8648ce3d030107')), bits(point))
export const ed25519Spki = (point: Uint8Array) => sequence(sequence(oid('2b6570')), bits(point))

/** A SubjectPublicKeyInfo of RSA with these numbers. */
export function rsaSpki(modulus: bigint, exponent = 65_537n): Buffer {
  const integer = (value: bigint) => {
    const hex = value.toString(16)
    const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
    return der(0x02, (octets[0] ?? 0) < 0x80 ? octets : Buffer.concat([Buffer.of(0), octets]))
  }
  const key = sequence(integer(modulus), integer(exponent))
  return sequence(sequence(oid('2a864886f70d010101'), Buffer.of(5, 0)), bits(key))
}

/** A modulus as the generator of ROCA made them: both factors are powers of 65537 modulo the product of small primes. */
export function rocaModulus(): bigint {
  const primes: bigint[] = []
  for (let candidate = 2n; candidate <= 701n; candidate += 1n)
    if (primes.every(prime => candidate % prime !== 0n)) primes.push(candidate)
  const product = primes.reduce((all, prime) => all * prime, 1n)
  const power = (exponent: number) => {
    let result = 1n
    for (let step = 0; step < exponent; step += 1) result = (result * 65_537n) % product
    return result
  }
  const bitsOf = product.toString(2).length
  const factor = (k: bigint, exponent: number) =>
    ((1n << BigInt(1_024 - bitsOf)) + k) * product + power(exponent)
  return factor(12_345n, 1_234) * factor(54_321n, 777)
}

/** A request whose key is as good as any, with its point compressed: another encoding of the same key. */
export function compressedPoint(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const point = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65)
  const compressed = ECDH.convertKey(point, 'prime256v1', undefined, undefined, 'compressed') as Buffer
  return forgedPem({ key: privateKey, spki: p256Spki(compressed) })
}

/** A public key that no device may have. */
export function spkiOf(type: 'x25519' | 'dsa' | 'rsa-pss'): Buffer {
  const { publicKey } =
    type === 'dsa'
      ? generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 })
      : type === 'x25519'
        ? generateKeyPairSync('x25519')
        : generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
  return publicKey.export({ type: 'spki', format: 'der' })
}
