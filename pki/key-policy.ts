// Which keys may identify a device. One rule for CSRs, for registered certificates and at admission.

const RSA_BITS_MIN = 2048
const RSA_BITS_MAX = 8192

/** Key types a device may hold, as `certificateFacts` names them: P-256, P-384, Ed25519, RSA of 2048 to 8192 bits. */
export function isAcceptableKey(keyType: string): boolean {
  if (keyType === 'p256' || keyType === 'p384' || keyType === 'ed25519') return true
  const rsaBits = /^rsa(\d+)$/.exec(keyType)?.[1]
  if (rsaBits === undefined) return false
  return Number(rsaBits) >= RSA_BITS_MIN && Number(rsaBits) <= RSA_BITS_MAX
}

export const ACCEPTABLE_KEYS = 'P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits'
