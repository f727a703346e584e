// The public area of a key in a TPM (TPM 2.0 Library, Part 2: TPM2B_PUBLIC §12.2.5, TPMT_PUBLIC §12.2.4), read from its octets, and the Name
// that they give (Part 1 §16). Judges sizes, algorithms and the key itself; which attributes a key must have is decided in `key-rules.ts`.
import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { keyTypeOf, spkiHashOf } from '../../pki/certificate-facts.ts'
import { keyTypeProblem } from '../../pki/key-policy.ts'
import { weaknessOfKey } from '../../pki/weak-keys.ts'
import type { Fault } from '../http/problem.ts'
import { StructureFault, type StructureReader, structureReader } from './structure-reader.ts'

/** Node's names of the hashes that may name a key (TPM_ALG_ID, Part 2 §6.3). */
export type NameHash = 'sha256' | 'sha384' | 'sha512'

export type TpmPublic = {
  nameAlg: NameHash
  /** TPMA_OBJECT, Part 2 §8.3. */
  attributes: number
  authPolicy: Buffer
  /** The cipher that protects what is under the key; null where it has none. `mode` is a TPM_ALG_ID. */
  symmetric: { bits: number; mode: number } | null
  key: KeyObject
  /** `p256`, `p384`, `rsa2048` … */
  keyType: string
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
  spkiHash: string
  /** Of the object: its nameAlg and the hash of its public area. */
  name: Buffer
}

export type PublicAreaReading = { area: TpmPublic } | { fault: Fault }

/** TPM_ALG_ID, Part 2 §6.3. */
export const algorithms = {
  RSA: 0x0001,
  AES: 0x0006,
  MGF1: 0x0007,
  NULL: 0x0010,
  RSASSA: 0x0014,
  RSAES: 0x0015,
  RSAPSS: 0x0016,
  OAEP: 0x0017,
  ECDSA: 0x0018,
  ECDH: 0x0019,
  ECDAA: 0x001a,
  KDF1_SP800_56A: 0x0020,
  KDF2: 0x0021,
  KDF1_SP800_108: 0x0022,
  ECC: 0x0023,
  CFB: 0x0043,
} as const
const hashes: ReadonlyMap<number, { name: NameHash; octets: number }> = new Map([
  [0x000b, { name: 'sha256', octets: 32 }],
  [0x000c, { name: 'sha384', octets: 48 }],
  [0x000d, { name: 'sha512', octets: 64 }],
])
const SHA1 = 0x0004
/** TPM_ECC_CURVE, Part 2 §6.4. */
const curves: ReadonlyMap<number, { name: string; octets: number }> = new Map([
  [0x0003, { name: 'P-256', octets: 32 }],
  [0x0004, { name: 'P-384', octets: 48 }],
])
const PUBLIC_OCTETS_MAX = 2048
const RSA_OCTETS_MAX = 1024

/** `path` names the document in the fault. Never throws. */
export function readPublicArea(bytes: Buffer, path: string): PublicAreaReading {
  try {
    const outer = structureReader(bytes, path)
    const area = outer.sized('size', PUBLIC_OCTETS_MAX)
    outer.end()
    return { area: readArea(area, path) }
  } catch (error) {
    // What a library throws about such a key is what is wrong with the key.
    if (!(error instanceof StructureFault)) return { fault: { path, message: 'it cannot be read' } }
    return { fault: { path: error.path, message: error.message } }
  }
}

/** The octets of an object's nameAlg, then the hash of its public area (Part 1 §16). */
function nameOf(area: Buffer, nameAlg: NameHash): Buffer {
  return Buffer.concat([area.subarray(2, 4), createHash(nameAlg).update(area).digest()])
}

function readArea(bytes: Buffer, path: string): TpmPublic {
  const reader = structureReader(bytes, path)
  const type = reader.uint16('type')
  if (type !== algorithms.RSA && type !== algorithms.ECC)
    throw new StructureFault(`${path}.type`, `it is ${hex(type)}, neither RSA (0x0001) nor ECC (0x0023)`)
  const nameAlg = hashOf(reader.uint16('nameAlg'), `${path}.nameAlg`)
  const attributes = reader.uint32('objectAttributes')
  const authPolicy = Buffer.from(reader.sized('authPolicy', 64))
  if (authPolicy.length !== 0 && authPolicy.length !== nameAlg.octets)
    throw new StructureFault(`${path}.authPolicy`, `it has ${authPolicy.length} octets, no digest of nameAlg`)
  const symmetric = symmetricOf(reader, path)
  const key = type === algorithms.RSA ? rsaKeyOf(reader, path) : eccKeyOf(reader, path)
  reader.end()
  const keyType = keyTypeOf(key)
  const weakness = keyTypeProblem(keyType) ?? weaknessOfKey(key)
  if (weakness !== null) throw new StructureFault(`${path}.unique`, weakness)
  const name = nameOf(bytes, nameAlg.name)
  const spkiHash = spkiHashOf(key)
  return { nameAlg: nameAlg.name, attributes, authPolicy, symmetric, key, keyType, spkiHash, name }
}

/** TPMT_SYM_DEF_OBJECT, Part 2 §11.1.7. */
function symmetricOf(reader: StructureReader, path: string): TpmPublic['symmetric'] {
  const algorithm = reader.uint16('symmetric')
  if (algorithm === algorithms.NULL) return null
  if (algorithm !== algorithms.AES)
    throw new StructureFault(
      `${path}.symmetric`,
      `it is ${hex(algorithm)}, neither AES (0x0006) nor none (0x0010)`,
    )
  const bits = reader.uint16('symmetric.keyBits')
  if (bits !== 128 && bits !== 192 && bits !== 256)
    throw new StructureFault(`${path}.symmetric.keyBits`, `AES has no keys of ${bits} bits`)
  return { bits, mode: reader.uint16('symmetric.mode') }
}

/** What follows the ID of a scheme (TPMT_RSA_SCHEME §11.2.4.2, TPMT_ECC_SCHEME §11.2.5.6): a hash, and a count for ECDAA. */
function skipScheme(reader: StructureReader, path: string, known: ReadonlySet<number>): void {
  const scheme = reader.uint16('scheme')
  if (scheme === algorithms.NULL) return
  if (!known.has(scheme))
    throw new StructureFault(`${path}.scheme`, `${hex(scheme)} is no scheme of such a key`)
  if (scheme === algorithms.RSAES) return
  hashOf(reader.uint16('scheme.hashAlg'), `${path}.scheme.hashAlg`)
  if (scheme === algorithms.ECDAA) reader.uint16('scheme.count')
}

const rsaSchemes = new Set<number>([algorithms.RSASSA, algorithms.RSAES, algorithms.RSAPSS, algorithms.OAEP])
const eccSchemes = new Set<number>([algorithms.ECDSA, algorithms.ECDH, algorithms.ECDAA])
const kdfSchemes = new Set<number>([
  algorithms.MGF1,
  algorithms.KDF1_SP800_56A,
  algorithms.KDF2,
  algorithms.KDF1_SP800_108,
])

/** TPMS_RSA_PARMS, Part 2 §12.2.3.5, after `symmetric`; then TPM2B_PUBLIC_KEY_RSA §11.2.4.5. */
function rsaKeyOf(reader: StructureReader, path: string): KeyObject {
  skipScheme(reader, path, rsaSchemes)
  const bits = reader.uint16('keyBits')
  const exponent = reader.uint32('exponent') || 65_537
  const modulus = reader.sized('unique', RSA_OCTETS_MAX)
  if (modulus.length * 8 !== bits)
    throw new StructureFault(`${path}.unique`, `it has ${modulus.length * 8} bits, keyBits says ${bits}`)
  const e = Buffer.alloc(4)
  e.writeUInt32BE(exponent)
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: trimmed(e).toString('base64url') }
  return keyFrom(jwk, `${path}.unique`, 'it is no RSA key')
}

/** TPMS_ECC_PARMS, Part 2 §12.2.3.6, after `symmetric`; then TPMS_ECC_POINT §11.2.5.2. */
function eccKeyOf(reader: StructureReader, path: string): KeyObject {
  skipScheme(reader, path, eccSchemes)
  const id = reader.uint16('curveID')
  const curve = curves.get(id)
  if (curve === undefined)
    throw new StructureFault(
      `${path}.curveID`,
      `the curve ${hex(id)} is neither P-256 (0x0003) nor P-384 (0x0004)`,
    )
  skipScheme(reader, `${path}.kdf`, kdfSchemes)
  const [x, y] = ['unique.x', 'unique.y'].map(part => padded(reader.sized(part, curve.octets), curve.octets))
  const jwk = { kty: 'EC', crv: curve.name, x: x!.toString('base64url'), y: y!.toString('base64url') }
  return keyFrom(jwk, `${path}.unique`, `it is no point of ${curve.name}`)
}

function keyFrom(jwk: Record<string, string>, path: string, message: string): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' })
  } catch {
    throw new StructureFault(path, message)
  }
}

function hashOf(id: number, path: string) {
  const found = hashes.get(id)
  if (found !== undefined) return found
  throw new StructureFault(
    path,
    id === SHA1
      ? 'SHA-1 proves nothing any more: use SHA-256'
      : `the hash ${hex(id)} is none of SHA-256, SHA-384 and SHA-512`,
  )
}

/** A TPM may leave out leading zeros. */
function padded(octets: Buffer, length: number): Buffer {
  return Buffer.concat([Buffer.alloc(length - octets.length), octets])
}

function trimmed(octets: Buffer): Buffer {
  const first = octets.findIndex(octet => octet !== 0)
  return octets.subarray(first < 0 ? octets.length - 1 : first)
}

function hex(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`
}
