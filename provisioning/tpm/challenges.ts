// Open challenges: what a TPM was asked and has not answered yet. In memory: a restart ends them, and the device asks again. Each is
// answered once, rightly or wrongly. Bounded in number, for each address, and in time; where all places are taken, the address with most of
// them makes room.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

export type Challenge<Asked> = {
  /** Names the exchange: 128 random bits, base64url. */
  session: string
  /** SHA-256 of the endorsement key, hex. */
  ekHash: string
  /** The Name of the key that is to be proven, hex. */
  keyName: string
  address: string
  openedAt: number
  asked: Asked
}

/** `cloned`: the addresses where another key was proven with the same endorsement key while this challenge was open. */
type Answered<Asked> =
  | { challenge: Challenge<Asked>; cloned: readonly string[] | null }
  | { refused: 'unknown' | 'secret' }

export type Challenges<Asked> = {
  /** Gives the session, and the secret that proves the answer; the seconds to wait where too many are open. */
  open(
    order: Omit<Challenge<Asked>, 'session' | 'openedAt'>,
  ): { session: string; secret: Buffer } | { waitSeconds: number }
  /** Ends the challenge, whatever the secret is. */
  answer(session: string, secret: Buffer): Answered<Asked>
  size(): number
}

/** A TPM takes some seconds at most; a person with a shell some more. */
export const CHALLENGE_SECONDS = 120
export const CHALLENGES_MAX = 10_000
/** Devices behind one address that enroll at once. */
export const CHALLENGES_EACH_MAX = 200
const SECRET_OCTETS = 32

/** What a challenge is about is kept as one text: a third of what its objects take. */
type Open = { openedAt: number; number: number; address: string; text: string }
type Proven = { keyName: string; address: string; at: number; openedBefore: number }

/** `Asked` is a value that JSON holds. */
export function createChallenges<Asked>(now: () => number): Challenges<Asked> {
  /** In the order they were opened. */
  const opened = new Map<string, Open>()
  /** The sessions of each, the oldest first. */
  const perAddress = new Map<string, Set<string>>()
  /** Of each endorsement key, what it proved last, for as long as another challenge may be open that was there before. */
  const proven = new Map<string, Proven>()
  let number = 0

  function end(session: string, { address }: Open): void {
    opened.delete(session)
    const own = perAddress.get(address)
    own?.delete(session)
    if (own?.size === 0) perAddress.delete(address)
  }

  /** Ends the oldest challenge of the address with the most, where those are more than `own`. */
  function makeRoom(own: number): boolean {
    let most: Set<string> | null = null
    for (const sessions of perAddress.values()) if (sessions.size > (most?.size ?? own)) most = sessions
    const [session] = most ?? []
    if (session === undefined) return false
    end(session, opened.get(session)!)
    return true
  }

  /** A clock that is set back ends them too. */
  const isOver = (at: number) => Math.abs(now() - at) >= CHALLENGE_SECONDS * 1_000

  function dropEnded(): void {
    for (const [session, challenge] of opened) {
      if (!isOver(challenge.openedAt)) break
      end(session, challenge)
    }
    for (const [ekHash, { at }] of proven) {
      if (!isOver(at)) break
      proven.delete(ekHash)
    }
  }

  /** Notes what an endorsement key proved; gives the addresses where another key was proven while this challenge was open. */
  function note(ekHash: string, keyName: string, challenge: Open): readonly string[] | null {
    const before = proven.get(ekHash)
    const isCloned =
      before !== undefined && before.keyName !== keyName && challenge.number <= before.openedBefore
    proven.delete(ekHash)
    if (proven.size >= CHALLENGES_MAX) proven.delete(proven.keys().next().value!)
    const { address } = challenge
    proven.set(ekHash, { keyName, address, at: now(), openedBefore: number })
    return isCloned ? [before.address, address] : null
  }

  return {
    open({ address, ...order }) {
      dropEnded()
      const own = perAddress.get(address)?.size ?? 0
      if (own >= CHALLENGES_EACH_MAX || (opened.size >= CHALLENGES_MAX && !makeRoom(own)))
        return { waitSeconds: CHALLENGE_SECONDS / 2 }
      const session = randomBytes(16).toString('base64url')
      const secret = randomBytes(SECRET_OCTETS)
      const text = JSON.stringify({ ...order, secretHash: hashOf(secret).toString('base64') })
      number += 1
      opened.set(session, { openedAt: now(), number, address, text })
      const sessions = perAddress.get(address) ?? new Set()
      perAddress.set(address, sessions.add(session))
      return { session, secret }
    },

    answer(session, secret) {
      dropEnded()
      const found = opened.get(session)
      if (found === undefined) return { refused: 'unknown' }
      end(session, found)
      const { address, openedAt } = found
      const { secretHash, ...order } = JSON.parse(found.text) as Kept<Asked>
      if (!timingSafeEqual(Buffer.from(secretHash, 'base64'), hashOf(secret))) return { refused: 'secret' }
      const cloned = note(order.ekHash, order.keyName, found)
      return { challenge: { ...order, session, address, openedAt }, cloned }
    },

    size: () => opened.size,
  }
}

type Kept<Asked> = Pick<Challenge<Asked>, 'ekHash' | 'keyName' | 'asked'> & { secretHash: string }

function hashOf(secret: Buffer): Buffer {
  return createHash('sha256').update(secret).digest()
}
