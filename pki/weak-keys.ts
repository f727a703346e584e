// Keys that look acceptable by kind and size and prove nothing: somebody else can compute the private half, or forge
// signatures without one. Pure arithmetic on the public key; kind and size are judged in `key-policy.ts`.
import type { KeyObject } from 'node:crypto'

const EXPONENT_MIN = 65_537n

/** What is wrong with the numbers of this public key, in words for its owner; null where nothing is. */
export function weaknessOfKey(key: KeyObject): string | null {
  try {
    return judges[key.asymmetricKeyType ?? '']?.(key) ?? null
  } catch {
    // The point at infinity, for one: OpenSSL reads it, and cannot write it again.
    return 'the key cannot be written down again: make a new key'
  }
}

const judges: Readonly<Record<string, (key: KeyObject) => string | null>> = {
  rsa: weaknessOfRsa,
  ec: oddnessOfEc,
  ed25519: weaknessOfEd25519,
  'ml-dsa-44': weaknessOfMlDsa,
  'ml-dsa-65': weaknessOfMlDsa,
  'ml-dsa-87': weaknessOfMlDsa,
}

function weaknessOfRsa(key: KeyObject): string | null {
  const { n = '', e = '' } = key.export({ format: 'jwk' }) as { n?: string; e?: string }
  const [modulus, exponent] = [numberOf(n), numberOf(e)]
  if (exponent < EXPONENT_MIN) return `the RSA public exponent is ${exponent}: use 65537`
  if (exponent % 2n === 0n) return 'the RSA public exponent is even: make a new key'
  const factor = smallPrimes.find(prime => modulus % prime === 0n)
  if (factor !== undefined) return `the RSA modulus is divisible by ${factor}: make a new key`
  if (isRoca(modulus)) {
    return 'the RSA key was made by a generator with a known flaw (ROCA, CVE-2017-15361): make it elsewhere'
  }
  return null
}

/**
 * Moduli of the flawed generator are powers of 65537 modulo every small prime (Nemec et al., "The Return of
 * Coppersmith's Attack", CCS 2017). A random modulus is so modulo all of these in one of some 10^8 cases.
 */
function isRoca(modulus: bigint): boolean {
  return fingerprints.every(({ prime, powers }) => powers.has(Number(modulus % prime)))
}

const smallPrimes = primesUpTo(1_000)
const fingerprints = smallPrimes.filter(prime => prime > 2n && prime <= 167n).map(powersOf65537)

function powersOf65537(prime: bigint): { prime: bigint; powers: Set<number> } {
  const powers = new Set<number>()
  for (let power = 1n; !powers.has(Number(power)); power = (power * 65_537n) % prime)
    powers.add(Number(power))
  return { prime, powers }
}

function primesUpTo(limit: number): bigint[] {
  const primes: bigint[] = []
  for (let candidate = 2n; candidate <= limit; candidate += 1n)
    if (primes.every(prime => candidate % prime !== 0n)) primes.push(candidate)
  return primes
}

/** How a public key on a curve of ours begins where curve and point are written in the one usual way (RFC 5480 §2.1.1, §2.2). */
const usualForms = [
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
  '3076301006072a8648ce3d020106052b8104002203620004',
].map(hex => Buffer.from(hex, 'hex'))

/** A curve that brings parameters of its own, or a compressed point: the same key would have another hash (CVE-2020-0601). */
function oddnessOfEc(key: KeyObject): string | null {
  const spki = key.export({ type: 'spki', format: 'der' })
  return usualForms.some(form => spki.subarray(0, form.length).equals(form))
    ? null
    : 'the key does not name its curve, or its point is compressed: write it in the usual form'
}

/** The y coordinates of points whose order divides eight, as they are and written above the field. */
const FIELD = 2n ** 255n - 19n
const ORDER_EIGHT = 2707385501144840649318225287225658788936804267575313519463743609750303402022n
const smallOrders = new Set(
  [0n, 1n, FIELD - 1n, ORDER_EIGHT, FIELD - ORDER_EIGHT].flatMap(y => [y, y + FIELD]),
)

/** Under such a key one signature fits many messages, so that a request signed with it proves nothing. */
function weaknessOfEd25519(key: KeyObject): string | null {
  const { x = '' } = key.export({ format: 'jwk' }) as { x?: string }
  const octets = Buffer.from(x, 'base64url').reverse()
  octets[0] = (octets[0] ?? 0) & 0x7f // the sign of x, which changes no order
  return smallOrders.has(BigInt(`0x${octets.toString('hex')}`))
    ? 'the Ed25519 key is a point of small order, which anybody can sign for: make a new key'
    : null
}

/** Octets of the seed that stands before t1 in a public key (FIPS 204, algorithm 22), and bits of a coefficient of t1. */
const SEED_OCTETS = 32
const COEFFICIENT_BITS = 10
/** Of 1,024 coefficients or more that a generator makes, some 650 or more differ. */
const DIFFERENT_MIN = 512

/**
 * Where t1 is zero, or its coefficients are few and small, anybody writes signatures that verify (FIPS 204, algorithm 8: the
 * challenge then hardly depends on the key), so that a request signed with such a key proves nothing.
 */
function weaknessOfMlDsa(key: KeyObject): string | null {
  const { pub = '' } = key.export({ format: 'jwk' }) as { pub?: string }
  const t1 = Buffer.from(pub, 'base64url').subarray(SEED_OCTETS)
  const different = new Set<number>()
  for (let bit = 0; bit + COEFFICIENT_BITS <= t1.length * 8; bit += COEFFICIENT_BITS) {
    const pair = t1[bit >> 3]! | ((t1[(bit >> 3) + 1] ?? 0) << 8)
    different.add((pair >> (bit & 7)) & 0x3ff)
  }
  return different.size < DIFFERENT_MIN
    ? 'the ML-DSA key was not made by a generator, and anybody can sign for it: make a new key'
    : null
}

function numberOf(base64url: string): bigint {
  return BigInt(`0x${Buffer.from(base64url, 'base64url').toString('hex') || '0'}`)
}
