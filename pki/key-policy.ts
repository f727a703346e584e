// Which keys may identify a device. One rule for CSRs, for registered certificates and at admission.

const RSA_BITS_MIN = 2048
const RSA_BITS_MAX = 8192

/**
 * What is done about ML-DSA keys (FIPS 204): nobody may hold one (`off`), devices and anchors may (`accept`), and so may our
 * own CAs, and EST asks devices for them (`issue`).
 */
export const pqModes = ['off', 'accept', 'issue'] as const
export type PqMode = (typeof pqModes)[number]

export const mlDsaTypes = ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const
export type MlDsaType = (typeof mlDsaTypes)[number]

export function isMlDsa(keyType: string): keyType is MlDsaType {
  return (mlDsaTypes as readonly string[]).includes(keyType)
}

/**
 * Key types a device may hold, as `certificateFacts` names them: P-256, P-384, Ed25519, RSA of 2048 to 8192 bits, and ML-DSA
 * of every parameter set where `pq` is not `off`.
 */
export function isAcceptableKey(keyType: string, pq: PqMode = 'accept'): boolean {
  if (keyType === 'p256' || keyType === 'p384' || keyType === 'ed25519') return true
  if (isMlDsa(keyType)) return pq !== 'off'
  const rsaBits = /^rsa(\d+)$/.exec(keyType)?.[1]
  if (rsaBits === undefined) return false
  return Number(rsaBits) >= RSA_BITS_MIN && Number(rsaBits) <= RSA_BITS_MAX
}

/** The keys that are acceptable, in words. */
export function acceptableKeys(pq: PqMode = 'accept'): string {
  return pq === 'off' ? CLASSIC_KEYS : `${CLASSIC_KEYS} or ML-DSA-44, -65 or -87`
}

const CLASSIC_KEYS = 'P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits'

/** Why a key of this type is refused, in words for its owner; null where it is not. */
export function keyTypeProblem(keyType: string, pq: PqMode = 'accept'): string | null {
  if (isAcceptableKey(keyType, pq)) return null
  const use = `use ${acceptableKeys(pq)}`
  if (isMlDsa(keyType)) return `the key is ${keyName(keyType)}, which pq: off refuses: ${use}`
  // RFC 9909 has certificates with such keys; no version of TLS has signatures of theirs.
  if (keyType.startsWith('slh-dsa-'))
    return `the key is ${keyName(keyType)}, with which TLS cannot authenticate: ${use}`
  return `the key is ${keyName(keyType)}: ${use}`
}

/** The name of a key type as standards write it, for people: P-256, Ed25519, ML-DSA-65 (FIPS 204); any other as OpenSSL does. */
export function keyName(keyType: string): string {
  const known: Record<string, string> = {
    p256: 'P-256',
    p384: 'P-384',
    p521: 'P-521',
    ed25519: 'Ed25519',
    ed448: 'Ed448',
  }
  if (known[keyType] !== undefined) return known[keyType]
  return /^(ml|slh)-dsa-/.test(keyType)
    ? keyType.toUpperCase().replace(/([SF])$/, size => size.toLowerCase())
    : keyType.replace(/^other:/, '')
}
