// A model of a TPM 2.0 in software: an endorsement key, signing keys, and TPM2_ActivateCredential. It protects nothing: it is for fleets that
// are too large for emulators, and for tests. Written from the specification, apart from the service, so that each checks the other.
import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  timingSafeEqual,
} from 'node:crypto'

export type EndorsementKeyType = 'p256' | 'p384' | 'rsa2048'
type Hash = 'sha256' | 'sha384'
/** A TPM2B_PUBLIC, and the private key that belongs to it. */
export type TpmKey = { area: Buffer; name: Buffer; privateKey: KeyObject; publicKey: KeyObject }

export type SoftwareTpm = {
  endorsement: TpmKey
  /** Makes a key of the device; `attributes` is a TPMA_OBJECT. */
  createKey(attributes?: number): TpmKey
  /** What `tpm2_activatecredential` gives for a file of `tpm2_makecredential`; throws where a TPM answers with an error. */
  activate(key: TpmKey, credential: Buffer): Buffer
}

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, sign (TPM 2.0 Library, Part 2 §8.3). */
export const SIGNING_KEY = 0x0004_0072
/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth or adminWithPolicy, restricted, decrypt: as the templates have it. */
const STORAGE_KEY = { sha256: 0x0003_00b2, sha384: 0x0003_00f2 }
const SHA256 = 0x000b
const SHA384 = 0x000c
const NONE = 0x0010

/** With an endorsement key of the TCG's template for this type. */
export function createSoftwareTpm(type: EndorsementKeyType = 'p256'): SoftwareTpm {
  const hash: Hash = type === 'p384' ? 'sha384' : 'sha256'
  const bits = type === 'p384' ? 256 : 128
  const endorsement = makeKey(type, STORAGE_KEY[hash], hash, [0x0006, bits, 0x0043])
  return {
    endorsement,
    createKey: (attributes = SIGNING_KEY) => makeKey('p256', attributes, 'sha256', [NONE]),
    activate: (key, credential) => activate(endorsement, hash, bits, key, credential),
  }
}

function makeKey(type: EndorsementKeyType, attributes: number, hash: Hash, symmetric: number[]): TpmKey {
  const pair =
    type === 'rsa2048'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: type === 'p256' ? 'P-256' : 'P-384' })
  const { n = '', x = '', y = '' } = pair.publicKey.export({ format: 'jwk' }) as Record<string, string>
  const head = [
    uint16(type === 'rsa2048' ? 0x0001 : 0x0023),
    uint16(hash === 'sha384' ? SHA384 : SHA256),
    uint32(attributes),
  ]
  const parameters = [sized(Buffer.alloc(0)), ...symmetric.map(uint16), uint16(NONE)]
  const unique =
    type === 'rsa2048'
      ? [uint16(2048), uint32(0), sized(bytes(n))]
      : [uint16(type === 'p384' ? 0x0004 : 0x0003), uint16(NONE), sized(bytes(x)), sized(bytes(y))]
  const content = Buffer.concat([...head, ...parameters, ...unique])
  const name = Buffer.concat([content.subarray(2, 4), createHash(hash).update(content).digest()])
  return { area: sized(content), name, ...pair }
}

function activate(endorsement: TpmKey, hash: Hash, bits: number, key: TpmKey, file: Buffer): Buffer {
  const next = cursor(file.subarray(8))
  const identityObject = cursor(next())
  const integrity = identityObject()
  const identity = identityObject.rest()
  const seed = seedOf(endorsement, hash, next())
  const macKey = derived(hash, seed, 'INTEGRITY', Buffer.alloc(0), hashBits(hash))
  const expected = createHmac(hash, macKey).update(identity).update(key.name).digest()
  if (integrity.length !== expected.length || !timingSafeEqual(integrity, expected))
    throw new Error('TPM_RC_INTEGRITY')
  const storageKey = derived(hash, seed, 'STORAGE', key.name, bits)
  const cipher = createDecipheriv(`aes-${bits}-cfb`, storageKey, Buffer.alloc(16))
  return cursor(Buffer.concat([cipher.update(identity), cipher.final()]))()
}

function seedOf({ privateKey, publicKey }: TpmKey, hash: Hash, encrypted: Buffer): Buffer {
  if (privateKey.asymmetricKeyType === 'rsa') {
    const padding = constants.RSA_PKCS1_OAEP_PADDING
    const oaep = { key: privateKey, padding, oaepHash: hash, oaepLabel: Buffer.from('IDENTITY\0') }
    return privateDecrypt(oaep, encrypted)
  }
  const next = cursor(encrypted)
  const [x, y] = [next(), next()]
  const { crv = '', x: own = '' } = publicKey.export({ format: 'jwk' }) as Record<string, string>
  const point = { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') }
  const shared = diffieHellman({ privateKey, publicKey: createPublicKey({ key: point, format: 'jwk' }) })
  const input = [uint32(1), shared, Buffer.from('IDENTITY\0'), x, bytes(own)]
  return createHash(hash).update(Buffer.concat(input)).digest()
}

/** KDFa, for as many bits as one hash has, or fewer. */
function derived(hash: Hash, key: Buffer, use: string, context: Buffer, bits: number): Buffer {
  const input = Buffer.concat([uint32(1), Buffer.from(`${use}\0`), context, uint32(bits)])
  return createHmac(hash, key)
    .update(input)
    .digest()
    .subarray(0, bits / 8)
}

const hashBits = (hash: Hash) => (hash === 'sha384' ? 384 : 256)
const bytes = (text: string) => Buffer.from(text, 'base64url')

/** Reads TPM2B after TPM2B. */
function cursor(octets: Buffer) {
  let at = 0
  const next = () => {
    const end = at + 2 + octets.readUInt16BE(at)
    if (end > octets.length) throw new Error('TPM_RC_SIZE')
    const content = octets.subarray(at + 2, end)
    at = end
    return content
  }
  return Object.assign(next, { rest: () => octets.subarray(at) })
}

function sized(octets: Buffer): Buffer {
  return Buffer.concat([uint16(octets.length), octets])
}

function uint16(value: number): Buffer {
  const octets = Buffer.alloc(2)
  octets.writeUInt16BE(value)
  return octets
}

function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4)
  octets.writeUInt32BE(value)
  return octets
}
