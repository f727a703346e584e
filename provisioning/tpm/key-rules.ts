// Which attributes a device's key and an endorsement key must have (TPMA_OBJECT: TPM 2.0 Library, Part 2 §8.3). Any key that a TPM holds can be
// activated, one that was made elsewhere and imported too: the attributes alone tell them apart.
import type { Fault } from '../http/problem.ts'
import { algorithms, type TpmPublic } from './public-area.ts'

const bits = {
  fixedTPM: 1,
  stClear: 2,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  userWithAuth: 6,
  adminWithPolicy: 7,
  noDA: 10,
  encryptedDuplication: 11,
  restricted: 16,
  decrypt: 17,
  sign: 18,
  x509sign: 19,
} as const
export type KeyAttribute = keyof typeof bits

/** The names of the attributes that are set, in the order of their bits. */
export function attributeNames(attributes: number): KeyAttribute[] {
  return (Object.keys(bits) as KeyAttribute[]).filter(name => isSet(attributes, name))
}

type Rule = { attribute: KeyAttribute; set: boolean; because: string }
const set = (attribute: KeyAttribute, because: string): Rule => ({ attribute, set: true, because })
const clear = (attribute: KeyAttribute, because: string): Rule => ({ attribute, set: false, because })

const FIXED: readonly Rule[] = [
  set('fixedTPM', 'a key that may leave the TPM proves nothing'),
  set('fixedParent', 'a key that may get another parent proves nothing'),
  set('sensitiveDataOrigin', 'the private key was made elsewhere and imported'),
]
const deviceKeyRules: readonly Rule[] = [
  ...FIXED,
  set('sign', 'TLS needs a key that signs'),
  clear('restricted', 'a restricted key signs only what the TPM made: no TLS handshake'),
  clear('decrypt', 'a key that signs and decrypts can be used as an oracle for either'),
  clear('x509sign', 'such a key signs X.509 certificates alone: no TLS handshake'),
]
const endorsementKeyRules: readonly Rule[] = [
  ...FIXED,
  set('restricted', 'an endorsement key is a storage key: restricted and decrypt'),
  set('decrypt', 'an endorsement key is a storage key: restricted and decrypt'),
  clear('sign', 'an endorsement key signs nothing'),
]

/** Everything that keeps this key from being a device's; empty where nothing does. */
export function deviceKeyFaults(area: TpmPublic, path: string): Fault[] {
  return attributeFaults(area, path, deviceKeyRules)
}

/** Everything that keeps this key from being an endorsement key that a credential can be made for; empty where nothing does. */
export function endorsementKeyFaults(area: TpmPublic, path: string): Fault[] {
  const faults = attributeFaults(area, path, endorsementKeyRules)
  if (area.symmetric?.mode !== algorithms.CFB)
    faults.push({
      path: `${path}.symmetric`,
      message: 'an endorsement key protects its children with AES in CFB mode',
    })
  if (!['rsa2048', 'p256', 'p384'].includes(area.keyType))
    faults.push({
      path: `${path}.unique`,
      message: 'it is none of RSA 2048, P-256 and P-384: use one of these endorsement keys',
    })
  return faults
}

function attributeFaults({ attributes }: TpmPublic, path: string, rules: readonly Rule[]): Fault[] {
  const at = `${path}.objectAttributes`
  const faults = rules
    .filter(rule => isSet(attributes, rule.attribute) !== rule.set)
    .map(rule => ({
      path: at,
      message: `${rule.attribute} must be ${rule.set ? 'set' : 'clear'}: ${rule.because}`,
    }))
  const known = Object.values(bits).reduce((mask, bit) => mask | (1 << bit), 0)
  if ((attributes & ~known) !== 0) faults.push({ path: at, message: 'reserved bits are set' })
  return faults
}

function isSet(attributes: number, attribute: KeyAttribute): boolean {
  return (attributes & (1 << bits[attribute])) !== 0
}
