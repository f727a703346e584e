// Which node a session belongs to: claimed when its device comes, handed over by its owner, taken over from a node that has ended. What it
// missed on its way is read from the log before anybody gets it. PostgreSQL refuses what anybody but the owner writes.
import type { ClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import {
  type Positions,
  readLog,
  readSession,
  readUnsettled,
  takeOrphans,
} from '../../../db/cluster/cluster-store.ts'
import { claimSessions } from '../../../db/cluster/session-claims.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import type { SessionContent } from '../../../db/sessions/session-mirror.ts'
import type { SessionState } from '../state.ts'
import { createClaims } from './claims.ts'
import type { PeerPlace } from './control.ts'
import type { GroupWriter } from './group-writer.ts'
import type { Incoming } from './incoming.ts'
import type { Envelope, EnvelopeCodec } from './message-codec.ts'

/** What the engine does to sessions that come and go. */
export type SessionMoves = {
  /** Ends its connection, for the device is at another node. Gives it where there was one. */
  endConnection(clientId: string): PeerPlace | null
  /** Forgets it here; it goes on elsewhere. */
  letGo(clientId: string): void
  /** Takes its content in. Gives its state; null where it has none that outlives a connection. */
  takeIn(clientId: string, rows: readonly SessionContent[]): SessionState | null
  /** The registry had it deleted while no node had it. */
  clear(clientId: string): void
  /** Its node has ended, and with it its connection. */
  connectionLost(clientId: string): void
  /** What it was owed and did not get, in its place: before all that came since it was taken in. */
  deliverMissed(state: SessionState, envelope: Envelope, place: number): void
  /** Begins a place in the order of messages for `deliverMissed`: more than any session misses. */
  reservePlace(): number
  /** Resolves once what was done before is in PostgreSQL. */
  kept(): Promise<void>
}

/** Whether it is that node's now, and the connection that ended by it. */
export type Released = { isDone: boolean; ended: PeerPlace | null }

export type HandOver = ReturnType<typeof createHandOver>

const CLAIM_MS = 15_000
/** Between two tries of a claim: the first time, and at most. */
const [RETRY_MS, RETRY_MAX_MS] = [50, 400]
const PAGE = 500
const ORPHANS_AT_ONCE = 100

export function createHandOver(parts: {
  me: number
  connections: ClusterConnections
  incoming: Incoming
  writer: GroupWriter
  owned: Map<string, number>
  decode: EnvelopeCodec['decode']
  moves: SessionMoves
  /** Asks the owner to hand a session over. Gives whether it did; false where it does not answer. */
  askOwner(owner: number, clientId: string, by: PeerPlace | null): Promise<boolean>
  /** Whether the registry had it deleted after this epoch, and this node has seen that already. */
  isCleared(clientId: string, since: number): boolean
  isClosed(): boolean
}) {
  const { me, connections, incoming, writer, owned, moves } = parts
  const claimOf = createClaims({
    claim: clientIds => connections.ask(client => claimSessions(client, me, clientIds)),
    isAnswer,
  })
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

  function hold(clientId: string, epoch: number): void {
    owned.set(clientId, epoch)
    writer.hold(clientId, epoch)
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
      if (owner === me || (await parts.askOwner(owner, clientId, by))) {
        // What the owner before has handed over is settled; a session of one that has ended may still have its will.
        if (await load(clientId, owner === me)) return
      } else await new Promise(resolve => setTimeout(resolve, waitMs))
      if (performance.now() > end || parts.isClosed())
        throw new Error(`the node that has the session of ${clientId} neither hands it over nor ends`)
    }
  }

  /** Of a session that is this node's in PostgreSQL and not here yet. Gives whether it was. */
  async function load(clientId: string, isOrphan: boolean): Promise<boolean> {
    const found = await connections.ask(client => readSession(client, me, clientId))
    if (found === null) return false
    await reach(found.positions)
    const state = moves.takeIn(clientId, found.rows)
    writer.collect() // what was taken in is there already
    hold(clientId, found.epoch)
    writer.unsettle(clientId)
    // All from here on reaches it by itself; what was before is in the log.
    const upTo: Positions = { ...incoming.positions(), [me]: writer.published() }
    const place = moves.reservePlace()
    try {
      if (parts.isCleared(clientId, found.clearedEpoch)) moves.clear(clientId)
      else if (state?.isKept) await readMissed(state, found.positions, upTo, place)
    } catch (error) {
      // It is this node's in PostgreSQL, and read again from the beginning.
      owned.delete(clientId)
      moves.letGo(clientId)
      writer.abandon(clientId)
      throw error
    }
    writer.settle(clientId)
    await moves.kept()
    if (isOrphan) moves.connectionLost(clientId)
    return true
  }

  /** Takes what the session's owner before had taken: else it would come to the session twice. */
  async function reach(positions: Positions): Promise<void> {
    for (const [node, number] of Object.entries(positions))
      while (Number(node) !== me && incoming.taken(Number(node)) < number && !parts.isClosed()) {
        incoming.reaches(Number(node), number)
        if (incoming.taken(Number(node)) >= number) break
        await new Promise(resolve => setTimeout(resolve, 2))
      }
  }

  async function readMissed(
    state: SessionState,
    from: Positions,
    upTo: Positions,
    place: number,
  ): Promise<void> {
    if (upTo[me] !== (from[me] ?? 0)) await moves.kept() // its own are in the log then
    let at = place
    for (const [node, last] of Object.entries(upTo)) {
      let after = from[node] ?? 0
      while (after < last) {
        const rows = await connections.ask(client => readLog(client, Number(node), after, last, PAGE))
        for (const { number, message } of rows) {
          after = number
          const envelope = parts.decode(message)
          if (envelope !== null) moves.deliverMissed(state, envelope, ++at)
        }
        if (rows.length < PAGE) break
      }
    }
  }

  async function loadAll(clientIds: readonly string[]): Promise<void> {
    for (const clientId of clientIds)
      await inTurn(clientId, async () => owned.has(clientId) || (await load(clientId, true)))
  }

  async function release(clientId: string, to: number): Promise<Released> {
    // It may be this node's without its knowing: the answer to a claim was lost, or it was taken from a node that has ended.
    if (!owned.has(clientId) && !(await load(clientId, true))) return { isDone: false, ended: null }
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
      await loadAll(await connections.ask(client => readUnsettled(client, me, ORPHANS_AT_ONCE)))
    },
    /** Takes over sessions of a node that has ended, until none is left. Other nodes may do so at once. */
    async adopt(ended: number): Promise<void> {
      for (;;) {
        const orphans = await connections.ask(client => takeOrphans(client, me, ended, ORPHANS_AT_ONCE))
        await loadAll(orphans)
        if (orphans.length < ORPHANS_AT_ONCE || parts.isClosed()) return
      }
    },
  }
}
