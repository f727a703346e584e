// Keys of MACs are derived one after the other: the sender says how many rounds that takes, and the reference of a token is enough to ask for it.
// What waits is bounded in rounds, for each address and in all.
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import { type MacParameters, macKeyOf } from './mac-protection.ts'

/** Gives the key that the parameters make of the secret. Throws the problem `service_busy` where too much waits. */
export type DeriveMacKey = (parameters: MacParameters, secret: string, address: string) => Promise<Buffer>

/** Some 2 s of work. */
export const WAITING_ROUNDS_MAX = 1_000_000
/** 400 devices with the rounds of OpenSSL, or one with all that may be. */
export const WAITING_ROUNDS_EACH_MAX = 200_000

export function createDerivations(derive = macKeyOf): DeriveMacKey {
  const perAddress = new Map<string, number>()
  let waiting = 0
  let last: Promise<unknown> = Promise.resolve()

  function count(address: string, rounds: number): void {
    waiting += rounds
    const own = (perAddress.get(address) ?? 0) + rounds
    if (own === 0) perAddress.delete(address)
    else perAddress.set(address, own)
  }

  return async (parameters, secret, address) => {
    const { rounds } = parameters
    const own = (perAddress.get(address) ?? 0) + rounds
    if (own > WAITING_ROUNDS_EACH_MAX || waiting + rounds > WAITING_ROUNDS_MAX)
      throw new Problem(httpProblems, 'service_busy', 'too many keys of MACs wait to be derived')
    count(address, rounds)
    const turn = last.then(() => derive(parameters, secret))
    last = turn.catch(() => {})
    try {
      return await turn
    } finally {
      count(address, -rounds)
    }
  }
}
