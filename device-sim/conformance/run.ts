// Plays every clause against a broker, several at once, each as a client ID that no other clause uses meanwhile.
// A clause that fails is played once more: a busy machine must not speak against a broker. Does not know clauses.
import { randomBytes } from 'node:crypto'
import type { Broker } from '../target.ts'
import { authenticationClauses } from './authentication-clauses.ts'
import type { Clause } from './clause.ts'
import { connectClauses } from './connect-clauses.ts'
import { exchangeClauses } from './exchange-clauses.ts'
import { ClauseFailed, NotApplicable, type Version } from './peer.ts'
import { publishClauses } from './publish-clauses.ts'
import { sharedClauses } from './shared-clauses.ts'
import { subscribeClauses } from './subscribe-clauses.ts'
import { type Client, createTrial } from './trial.ts'
import { twoClientsClauses } from './two-clients-clauses.ts'
import { v5Clauses } from './v5-clauses.ts'
import { v5DeliveryClauses } from './v5-delivery-clauses.ts'

export const clauses: readonly Clause[] = [
  ...connectClauses,
  ...publishClauses,
  ...subscribeClauses,
  ...exchangeClauses,
  ...v5Clauses,
  ...v5DeliveryClauses,
  ...twoClientsClauses,
  ...sharedClauses,
  ...authenticationClauses,
]

/** `prefix` is what its topics begin with. */
export type Identity = Client & { prefix: string }

type Seat = { identity: Identity; partner: Identity | null }

/** Half of the identities play, each with one of the other half beside it. */
function seatsOf(identities: readonly Identity[]): Seat[] {
  const half = Math.ceil(identities.length / 2)
  return identities
    .slice(0, half)
    .map((identity, index) => ({ identity, partner: identities[half + index] ?? null }))
}

export type ClauseResult = {
  version: Version
  id: string
  what: string
  outcome: 'passed' | 'failed' | 'not applicable'
  /** Why not; null where it passed. */
  reason: string | null
  seconds: number
}

type Options = {
  broker: Broker
  identities: readonly Identity[]
  versions: readonly Version[]
  patienceMs: number
  /** Plays those alone whose number or text holds it. */
  only?: string | undefined
  again?: boolean
  signal?: AbortSignal
  onProgress?: (done: number, total: number) => void
}

export async function playClauses(options: Options): Promise<ClauseResult[]> {
  const { identities, versions, only, onProgress, signal } = options
  const due = versions.flatMap(version =>
    clauses.flatMap((clause, index) => {
      const id = clause.id[version]
      if (id === undefined || (only !== undefined && !`${id} ${clause.what}`.includes(only))) return []
      return [{ version, id, clause, place: version * 1_000 + index }]
    }),
  )
  const results: (ClauseResult & { place: number })[] = []
  const total = due.length
  const seats = seatsOf(identities)
  await Promise.all(
    seats.map(async seat => {
      for (let next = due.shift(); next && !signal?.aborted; next = due.shift()) {
        const { version, id, clause, place } = next
        const begunAt = performance.now()
        let outcome = await play(clause, version, seat, options)
        if (outcome.outcome === 'failed' && options.again !== false)
          outcome = await play(clause, version, seat, options)
        const seconds = Math.round(performance.now() - begunAt) / 1000
        results.push({ version, id, what: clause.what, ...outcome, seconds, place })
        onProgress?.(results.length, total)
      }
    }),
  )
  return results.toSorted((a, b) => a.place - b.place).map(({ place: _place, ...result }) => result)
}

async function play(
  clause: Clause,
  version: Version,
  { identity, partner }: Seat,
  { broker, patienceMs }: Options,
): Promise<Pick<ClauseResult, 'outcome' | 'reason'>> {
  const base = `${identity.prefix}${randomBytes(4).toString('hex')}`
  const trial = createTrial({ broker, patienceMs }, version, identity, base, partner)
  try {
    await clause.play(trial)
    return { outcome: 'passed', reason: null }
  } catch (error) {
    if (error instanceof NotApplicable) return { outcome: 'not applicable', reason: error.message }
    if (error instanceof ClauseFailed) return { outcome: 'failed', reason: error.message }
    throw error
  } finally {
    await trial.end()
  }
}
