// Protection by a shared secret: password-based MAC (RFC 9810 §5.1.3.1) and PBMAC1 (RFC 9481 §6.1.2). The sender chooses the parameters, so each of them
// is bounded before anything is derived.
import { createHmac, hash, pbkdf2 } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import {
  contentOf,
  type DerElement,
  elementsOf,
  oidOf,
  smallIntegerOf,
  tags,
  wholeElement,
  withTag,
} from '../../pki/der-reader.ts'
import type { SignatureAlgorithm } from '../../pki/signature-policy.ts'
import { CmpFault } from './cmp-problems.ts'
import { fieldsOf, readingPart } from './message-fields.ts'
import { algorithmOf } from './message-reader.ts'

export const PBM = '1.2.840.113533.7.66.13'
const PBMAC1 = '1.2.840.113549.1.5.14'
const PBKDF2 = '1.2.840.113549.1.5.12'

export type MacParameters = {
  derivation: 'pbm' | 'pbkdf2'
  salt: Buffer
  rounds: number
  /** The hash of the derivation. */
  hash: string
  keyOctets: number
  /** The hash of the HMAC. */
  mac: string
}

/** RFC 9810 §5.1.3.1 wants 100 rounds at least; OpenSSL takes 500. */
export const PBM_ROUNDS = { least: 100, most: 10_000 }
/** Derived beside the event loop. */
const PBKDF2_ROUNDS = { least: 1_000, most: 200_000 }
/** Some 0.5 ms: then the event loop turns. */
const ROUNDS_AT_ONCE = 500
const SALT_OCTETS = { least: 8, most: 128 }

const hashes: Readonly<Record<string, string>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}
/** HMAC with SHA-1 has two identifiers, and is what OpenSSL takes where it is told nothing else. */
const macs: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.8.1.2': 'sha1',
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
}
const digestOctets: Readonly<Record<string, number>> = { sha256: 32, sha384: 48, sha512: 64 }

export function isMac({ oid }: SignatureAlgorithm): boolean {
  return oid === PBM || oid === PBMAC1
}

/** Throws a `CmpFault` where they cannot be read, or exceed a bound. */
export function readMacParameters({ oid, parameters }: SignatureAlgorithm): MacParameters {
  return readingPart('header.protectionAlg', () => {
    if (parameters === null) throw new CmpFault('badAlg', 'header.protectionAlg: it has no parameters')
    const whole = wholeElement(parameters, tags.sequence)
    return oid === PBM ? pbmOf(parameters, whole) : pbmac1Of(parameters, whole)
  })
}

function pbmOf(der: Buffer, element: DerElement): MacParameters {
  const fields = fieldsOf(der, element)
  const salt = saltOf(der, fields.next('salt', tags.octetString))
  const owf = algorithmOf(der, fields.next('owf', tags.sequence)).oid
  const rounds = roundsOf(der, fields.next('iterationCount', tags.integer), PBM_ROUNDS)
  const mac = known(macs, algorithmOf(der, fields.next('mac', tags.sequence)).oid, 'mac')
  fields.end()
  const name = known(hashes, owf, 'owf')
  return { derivation: 'pbm', salt, rounds, hash: name, keyOctets: digestOctets[name]!, mac }
}

function pbmac1Of(der: Buffer, element: DerElement): MacParameters {
  const outer = fieldsOf(der, element)
  const derivation = fieldsOf(der, outer.next('keyDerivationFunc', tags.sequence))
  const mac = known(
    macs,
    algorithmOf(der, outer.next('messageAuthScheme', tags.sequence)).oid,
    'messageAuthScheme',
  )
  outer.end()
  const kdf = oidOf(der, derivation.next('algorithm', tags.oid))
  if (kdf !== PBKDF2) throw new CmpFault('badAlg', 'header.protectionAlg: keyDerivationFunc is not PBKDF2')
  const fields = fieldsOf(der, derivation.next('parameters', tags.sequence))
  derivation.end()
  const salt = saltOf(der, fields.next('salt', tags.octetString))
  const rounds = roundsOf(der, fields.next('iterationCount', tags.integer), PBKDF2_ROUNDS)
  const length = fields.nextIf(tags.integer)
  const prf = fields.nextIf(tags.sequence)
  fields.end()
  // RFC 8018 §A.2: HMAC with SHA-1 where none is named.
  const [name] = prf === null ? [] : elementsOf(der, prf)
  const hashName = name === undefined ? 'sha1' : known(macs, oidOf(der, name), 'prf')
  const keyOctets = length === null ? 32 : smallIntegerOf(der, length)
  if (keyOctets < 16 || keyOctets > 64)
    throw new CmpFault('badAlg', 'header.protectionAlg: keyLength is not of 16 to 64 octets')
  return { derivation: 'pbkdf2', salt, rounds, hash: hashName, keyOctets, mac }
}

function saltOf(der: Buffer, element: DerElement): Buffer {
  const salt = contentOf(der, element)
  if (salt.length < SALT_OCTETS.least || salt.length > SALT_OCTETS.most)
    throw new CmpFault(
      'badAlg',
      `header.protectionAlg: the salt is not of ${SALT_OCTETS.least} to ${SALT_OCTETS.most} octets`,
    )
  return salt
}

function roundsOf(
  der: Buffer,
  element: DerElement,
  { least, most }: { least: number; most: number },
): number {
  // What exceeds 31 bits is no number to this reader, and no number of rounds either.
  const octets = contentOf(der, withTag(element, tags.integer))
  const rounds = octets.length > 4 || (octets[0] ?? 0x80) >= 0x80 ? null : smallIntegerOf(der, element)
  if (rounds === null || rounds < least || rounds > most)
    throw new CmpFault('badAlg', `header.protectionAlg: the rounds are not from ${least} to ${most}`)
  return rounds
}

function known(table: Readonly<Record<string, string>>, oid: string, what: string): string {
  const name = Object.hasOwn(table, oid) ? table[oid] : undefined
  if (name === undefined)
    throw new CmpFault('badAlg', `header.protectionAlg: ${what} is none of those accepted: use SHA-256`)
  return name
}

const derive = promisify(pbkdf2)

/** The key that the parameters make of the secret. */
export async function macKeyOf(parameters: MacParameters, secret: string): Promise<Buffer> {
  const { salt, rounds, keyOctets } = parameters
  if (parameters.derivation === 'pbkdf2') return derive(secret, salt, rounds, keyOctets, parameters.hash)
  let key: Buffer = Buffer.concat([Buffer.from(secret), salt])
  for (let round = 1; round <= rounds; round += 1) {
    key = hash(parameters.hash, key, 'buffer')
    if (round % ROUNDS_AT_ONCE === 0 && round < rounds) await setImmediate()
  }
  return key
}

export function macOf({ mac }: MacParameters, key: Buffer, bytes: Buffer): Buffer {
  return createHmac(mac, key).update(bytes).digest()
}
