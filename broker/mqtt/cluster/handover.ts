// Which node a session belongs to: claimed when its device comes, handed over by its owner, taken over from a node that has ended.
// PostgreSQL refuses what anybody but the owner writes.
import { readUnsettled } from '../../../db/cluster/cluster-store.ts'
import { claimSessions, takeOrphans } from '../../../db/cluster/session-claims.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import type { PeerPlace } from './control.ts'
import { createGathering } from './gathering.ts'
import { createLoading, type LoadingOptions, NotTakenIn } from './loading.ts'

/** Whether it is that node's now, and the connection that ended by it. */
export type Released = { isDone: boolean; ended: PeerPlace | null }

export type HandOver = ReturnType<typeof createHandOver>

const CLAIM_MS = 15_000
/** Between two tries of a claim: the first time, and at most. */
const [RETRY_MS, RETRY_MAX_MS] = [50, 400]
const CLAIMS_AT_ONCE = 500
const ORPHANS_AT_ONCE = 250
/** A session that cannot be taken in is tried again after so long; of so many it is known. */
const REFUSED_MS = 60_000
const REFUSED_MAX = 10_000

export function createHandOver(
  parts: LoadingOptions & {
    /** Asks the owner to hand a session over. Gives whether it did; false where it does not answer. */
    askOwner(owner: number, clientId: string, by: PeerPlace | null): Promise<boolean>
    onTrouble(error: unknown): void
  },
) {
  const { me, connections, writer, owned, moves } = parts
  const { load, hold } = createLoading(parts)
  const claimOf = createGathering({
    ask: clientIds => connections.ask(client => claimSessions(client, me, clientIds)),
    isOfOne: isAnswer,
    atOnce: CLAIMS_AT_ONCE,
  })
  /** Of a node that has ended, or may have: it may still have its will. Gives whether it is this node's. */
  const loadOrphan = createGathering({
    async ask(clientIds) {
      const loaded = await load(clientIds, moves.connectionLost)
      return new Map(clientIds.map(clientId => [clientId, loaded.has(clientId)]))
    },
    isOfOne: error => isAnswer(error) || error instanceof NotTakenIn,
    atOnce: ORPHANS_AT_ONCE,
  })
  /** Clients whose session another node has, or one that has ended: what has them ask again at once. */
  const waiting = new Map<string, () => void>()
  /** Nodes that have ended, of whose sessions those that devices had waited for were taken first. */
  const adopted = new Set<number>()
  /** Clients whose session cannot be taken in, with the moment of the last try. */
  const refused = new Map<string, number>()
  /** What is under way for a session: one thing at a time. */
  const busy = new Map<string, Promise<unknown>>()

  function inTurn<Result>(clientId: string, work: () => Promise<Result>): Promise<Result> {
    const before = busy.get(clientId) ?? Promise.resolve()
    const own = before.then(work, work)
    busy.set(clientId, own)
    const over = () => {
      if (busy.get(clientId) === own) busy.delete(clientId)
    }
    own.then(over, over)
    return own
  }

  async function claim(clientId: string, by: PeerPlace): Promise<void> {
    const end = performance.now() + CLAIM_MS
    for (let waitMs = RETRY_MS; ; waitMs = Math.min(waitMs * 2, RETRY_MAX_MS)) {
      if (owned.has(clientId)) return
      const { owner, epoch, isNew } = await claimOf(clientId)
      if (isNew) {
        hold(clientId, epoch)
        return
      }
      if (owner === me) {
        if (await loadOrphan(clientId)) return
      } else if (await parts.askOwner(owner, clientId, by)) {
        // What the owner before has handed over is settled.
        if ((await load([clientId])).has(clientId)) return
      } else await mayHaveMoved(clientId, waitMs)
      if (performance.now() > end || parts.isClosed())
        throw new Error(`the node that has the session of ${clientId} neither hands it over nor ends`)
    }
  }

  function mayHaveMoved(clientId: string, waitMs: number): Promise<void> {
    return new Promise(resolve => {
      const over = () => {
        clearTimeout(timer)
        waiting.delete(clientId)
        resolve()
      }
      const timer = setTimeout(over, waitMs)
      waiting.set(clientId, over)
    })
  }

  /** Rejects where PostgreSQL does. One that cannot be taken in holds back no other: it is told once. */
  async function loadAll(clientIds: readonly string[]): Promise<void> {
    const loading = clientIds.map(clientId =>
      inTurn(clientId, async () => owned.has(clientId) || (await loadOrphan(clientId))),
    )
    for (const clientId of clientIds) waiting.get(clientId)?.()
    const results = await Promise.allSettled(loading)
    for (const [at, clientId] of clientIds.entries()) {
      const result = results[at]!
      if (result.status === 'fulfilled') refused.delete(clientId)
      else if (result.reason instanceof NotTakenIn) refuse(clientId, result.reason)
    }
    const failed = results.find(each => each.status === 'rejected' && !(each.reason instanceof NotTakenIn))
    if (failed?.status === 'rejected') throw failed.reason
  }

  function refuse(clientId: string, error: NotTakenIn): void {
    if (!refused.has(clientId)) parts.onTrouble(error)
    if (refused.has(clientId) || refused.size < REFUSED_MAX) refused.set(clientId, performance.now())
  }

  const isDue = (clientId: string) =>
    performance.now() - (refused.get(clientId) ?? Number.NEGATIVE_INFINITY) >= REFUSED_MS

  async function release(clientId: string, to: number): Promise<Released> {
    // It may be this node's without its knowing: the answer to a claim was lost, or it was taken from a node that has ended.
    if (!owned.has(clientId) && !(await loadOrphan(clientId))) return { isDone: false, ended: null }
    const ended = moves.endConnection(clientId)
    writer.collect()
    writer.give(clientId, to)
    owned.delete(clientId)
    moves.letGo(clientId)
    writer.collect() // what was let go is not gone
    await moves.kept()
    return { isDone: true, ended }
  }

  return {
    /** Resolves once the session of the client that comes is this node's; null where it is. Rejects where it does not become so. */
    own(clientId: string, by: PeerPlace): Promise<void> | null {
      return owned.has(clientId) && !busy.has(clientId) ? null : inTurn(clientId, () => claim(clientId, by))
    },
    /** Another node asks for it. */
    release: (clientId: string, to: number) => inTurn(clientId, () => release(clientId, to)),
    /** Sessions that were handed to this node and not read then, for a connection broke in the middle. */
    async readLeft(): Promise<void> {
      const limit = ORPHANS_AT_ONCE + refused.size
      const left = await connections.ask(client => readUnsettled(client, me, limit))
      for (const clientId of refused.keys())
        if (left.length < limit && !left.includes(clientId)) refused.delete(clientId)
      await loadAll(left.filter(isDue))
    },
    /**
     * Takes over sessions of a node that has ended, until none is left. Other nodes may do so at once; where devices wait, each node takes
     * theirs first.
     */
    async adopt(ended: number): Promise<void> {
      if (!adopted.has(ended) && waiting.size > 0) {
        for (const over of [...waiting.values()]) over()
        await new Promise(resolve => setTimeout(resolve, RETRY_MAX_MS))
      }
      adopted.add(ended)
      for (;;) {
        const orphans = await connections.ask(client => takeOrphans(client, me, ended, ORPHANS_AT_ONCE))
        await loadAll(orphans)
        if (orphans.length < ORPHANS_AT_ONCE || parts.isClosed()) return
      }
    },
  }
}
