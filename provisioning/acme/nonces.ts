// Nonces against replay (RFC 8555 §6.5), each good for one request. A nonce is the number of its issue under a MAC, so that nothing is kept of those that
// are handed out: which of the last ones were used is a bit each. A restart, and many newer ones, end a nonce; a client then takes the next.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export type Nonces = {
  issue(): string
  /** Whether it was issued here, lately enough, and not used before; it is used then. */
  use(nonce: string): boolean
}

const NONCES_MAX = 65_536
const NUMBER_OCTETS = 6
const MAC_OCTETS = 16
const FORM = /^[A-Za-z0-9_-]{30}$/

export function createNonces(size = NONCES_MAX): Nonces {
  const key = randomBytes(32)
  const used = new Uint8Array(size)
  let issued = 0

  function nonceOf(number: number): Buffer {
    const octets = Buffer.alloc(NUMBER_OCTETS + MAC_OCTETS)
    octets.writeUIntBE(number, 0, NUMBER_OCTETS)
    createHmac('sha256', key)
      .update(octets.subarray(0, NUMBER_OCTETS))
      .digest()
      .copy(octets, NUMBER_OCTETS, 0, MAC_OCTETS)
    return octets
  }

  return {
    issue() {
      const number = issued
      issued += 1
      used[number % size] = 0
      return nonceOf(number).toString('base64url')
    },

    use(nonce) {
      if (!FORM.test(nonce)) return false
      const octets = Buffer.from(nonce, 'base64url')
      const number = octets.readUIntBE(0, NUMBER_OCTETS)
      if (!timingSafeEqual(nonceOf(number), octets)) return false
      if (number < issued - size || used[number % size] === 1) return false
      used[number % size] = 1
      return true
    },
  }
}
