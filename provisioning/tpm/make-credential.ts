// TPM2_MakeCredential in software (TPM 2.0 Library, Part 1 §24): a secret that only the TPM of an endorsement key gives back, and only while
// it holds the key of a certain Name. Knows no enrollment.
import {
  constants,
  createCipheriv,
  createHash,
  createHmac,
  diffieHellman,
  generateKeyPair,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { promisify } from 'node:util'
import type { NameHash, TpmPublic } from './public-area.ts'

/** The key a credential is made for, as a public area or a template of the TCG EK Credential Profile describes it. */
export type CredentialKey = { key: KeyObject; keyType: string; nameAlg: NameHash; symmetricBits: number }

const hashOctets: Record<NameHash, number> = { sha256: 32, sha384: 48, sha512: 64 }
const curves: Record<string, { name: string; octets: number }> = {
  p256: { name: 'P-256', octets: 32 },
  p384: { name: 'P-384', octets: 48 },
}
/** Labels end with a zero octet (Part 1 §11.4.10, §B.4). */
const label = (text: string) => Buffer.from(`${text}\0`, 'latin1')
const FILE_MAGIC = 0xbadcc0de
const FILE_VERSION = 1

/**
 * What a key has where only its certificate is known: templates L-1 (RSA 2048), L-2 (P-256) and H-3 (P-384) of the TCG EK
 * Credential Profile 2.5, §B.3 and §B.4. Null for other keys.
 */
export function templateOf(key: KeyObject, keyType: string): CredentialKey | null {
  if (keyType === 'rsa2048' || keyType === 'p256')
    return { key, keyType, nameAlg: 'sha256', symmetricBits: 128 }
  return keyType === 'p384' ? { key, keyType, nameAlg: 'sha384', symmetricBits: 256 } : null
}

export function credentialKeyOf({ key, keyType, nameAlg, symmetric }: TpmPublic): CredentialKey {
  return { key, keyType, nameAlg, symmetricBits: symmetric?.bits ?? 128 }
}

/**
 * Protects a secret of at most 32 octets for the TPM that holds `endorsement` and an object of this Name. Gives the file that
 * `tpm2_activatecredential -i` reads: a magic number and a version of 4 octets each, TPM2B_ID_OBJECT (Part 2 §12.4.3) and
 * TPM2B_ENCRYPTED_SECRET (§11.4.3).
 */
export async function makeCredential(
  endorsement: CredentialKey,
  name: Buffer,
  secret: Buffer,
): Promise<Buffer> {
  const { nameAlg, symmetricBits } = endorsement
  const { seed, encrypted } = await (endorsement.keyType in curves
    ? eccSeed(endorsement)
    : rsaSeed(endorsement))
  const symmetricKey = kdfa(nameAlg, seed, 'STORAGE', name, symmetricBits)
  const cipher = createCipheriv(`aes-${symmetricBits}-cfb`, symmetricKey, Buffer.alloc(16))
  const identity = Buffer.concat([cipher.update(sized(secret)), cipher.final()])
  const macKey = kdfa(nameAlg, seed, 'INTEGRITY', Buffer.alloc(0), hashOctets[nameAlg] * 8)
  const integrity = createHmac(nameAlg, macKey).update(identity).update(name).digest()
  const head = Buffer.alloc(8)
  head.writeUInt32BE(FILE_MAGIC)
  head.writeUInt32BE(FILE_VERSION, 4)
  return Buffer.concat([head, sized(Buffer.concat([sized(integrity), identity])), sized(encrypted)])
}

type Seed = { seed: Buffer; encrypted: Buffer }

/** OAEP with the label IDENTITY (Part 1 §B.10.4). Some 50 µs: not worth a thread. */
async function rsaSeed({ key, nameAlg }: CredentialKey): Promise<Seed> {
  const seed = randomBytes(hashOctets[nameAlg])
  const oaep = {
    key,
    padding: constants.RSA_PKCS1_OAEP_PADDING,
    oaepHash: nameAlg,
    oaepLabel: label('IDENTITY'),
  }
  return { seed, encrypted: publicEncrypt(oaep, seed) }
}

const newKeyPair = promisify(generateKeyPair)
const agreed = promisify(
  (
    keys: { privateKey: KeyObject; publicKey: KeyObject },
    done: (error: Error | null, secret: Buffer) => void,
  ) => void diffieHellman(keys, done),
)

/** One-pass ECDH with an ephemeral key (Part 1 §C.6.4), on libuv's threads: 1.5 ms on P-384. */
async function eccSeed({ key, keyType, nameAlg }: CredentialKey): Promise<Seed> {
  const { name, octets } = curves[keyType]!
  const { publicKey, privateKey } = await newKeyPair('ec', { namedCurve: name })
  const shared = await agreed({ privateKey, publicKey: key })
  const [ephemeral, own] = [publicKey, key].map(one => pointOf(one, octets))
  const seed = kdfe(nameAlg, shared, 'IDENTITY', ephemeral!.x, own!.x)
  return { seed, encrypted: Buffer.concat([sized(ephemeral!.x), sized(ephemeral!.y)]) }
}

function pointOf(key: KeyObject, octets: number): { x: Buffer; y: Buffer } {
  const spki = key.export({ type: 'spki', format: 'der' })
  const point = spki.subarray(spki.length - 2 * octets)
  return { x: point.subarray(0, octets), y: point.subarray(octets) }
}

/** KDFa: SP 800-108 in counter mode with HMAC (Part 1 §11.4.10.2). `contextV` is empty wherever it is used here. */
function kdfa(hash: NameHash, key: Buffer, use: string, contextU: Buffer, bits: number): Buffer {
  const blocks: Buffer[] = []
  for (let count = 1; (count - 1) * hashOctets[hash] * 8 < bits; count += 1) {
    const mac = createHmac(hash, key).update(uint32(count)).update(label(use)).update(contextU)
    blocks.push(mac.update(uint32(bits)).digest())
  }
  return Buffer.concat(blocks).subarray(0, bits / 8)
}

/** KDFe: SP 800-56A with one hash, for as many bits as it has (Part 1 §11.4.10.3). */
function kdfe(hash: NameHash, shared: Buffer, use: string, partyU: Buffer, partyV: Buffer): Buffer {
  return createHash(hash)
    .update(uint32(1))
    .update(shared)
    .update(label(use))
    .update(partyU)
    .update(partyV)
    .digest()
}

function sized(octets: Buffer): Buffer {
  const size = Buffer.alloc(2)
  size.writeUInt16BE(octets.length)
  return Buffer.concat([size, octets])
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4)
  octets.writeUInt32BE(value)
  return octets
}
