// Sessions that are this node's in PostgreSQL and not here yet, many at once: their content, and what they missed on their way, are read
// before anybody gets them. A page of the log is read once for all of them.
import type { ClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import {
  type HandedOver,
  type Positions,
  readContent,
  readHandedOver,
  readLog,
} from '../../../db/cluster/cluster-store.ts'
import type { SessionState } from '../state.ts'
import type { GroupWriter } from './group-writer.ts'
import type { Incoming } from './incoming.ts'
import type { EnvelopeCodec } from './message-codec.ts'
import type { SessionMoves } from './session-moves.ts'

/** What is stored of a session cannot be taken in. */
export class NotTakenIn extends Error {}

const PAGE = 500
/** Of sessions that are read together. */
const BYTES_MAX = 16_777_216

export type LoadingOptions = {
  me: number
  connections: ClusterConnections
  incoming: Incoming
  writer: GroupWriter
  owned: Map<string, number>
  decode: EnvelopeCodec['decode']
  moves: SessionMoves
  /** Whether the registry had it deleted after this epoch, and this node has seen that already. */
  isCleared(clientId: string, since: number): boolean
  isClosed(): boolean
}

export function createLoading(parts: LoadingOptions) {
  const { me, connections, incoming, writer, owned, moves } = parts

  function hold(clientId: string, epoch: number): void {
    owned.set(clientId, epoch)
    writer.hold(clientId, epoch)
  }

  async function loadTogether(found: readonly HandedOver[]): Promise<void> {
    const clientIds = found.map(({ clientId }) => clientId)
    const content = await connections.ask(client => readContent(client, clientIds))
    await reach(found)
    try {
      const missing = new Map<SessionState, Positions>()
      const cleared: string[] = []
      for (const { clientId, positions, clearedEpoch } of found) {
        const state = takeIn(clientId, content.get(clientId) ?? [])
        if (parts.isCleared(clientId, clearedEpoch)) cleared.push(clientId)
        else if (state?.isKept) missing.set(state, positions)
      }
      writer.collect() // what was taken in is there already
      for (const { clientId, epoch } of found) {
        hold(clientId, epoch)
        writer.unsettle(clientId)
      }
      // All from here on reaches them by itself; what was before is in the log.
      const upTo: Positions = { ...incoming.positions(), [me]: writer.published() }
      const place = moves.reservePlace()
      for (const clientId of cleared) moves.clear(clientId)
      await readMissed(missing, upTo, place)
    } catch (error) {
      // They are this node's in PostgreSQL, and read again from the beginning.
      for (const clientId of clientIds) {
        owned.delete(clientId)
        moves.letGo(clientId)
        writer.abandon(clientId)
      }
      throw error
    }
    for (const clientId of clientIds) writer.settle(clientId)
    await moves.kept()
  }

  function takeIn(clientId: string, rows: Parameters<SessionMoves['takeIn']>[1]): SessionState | null {
    try {
      return moves.takeIn(clientId, rows)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new NotTakenIn(`the session of ${clientId} cannot be taken in: ${why}`, { cause })
    }
  }

  /** Takes what the sessions' owners before had taken: else it would come to them twice. */
  async function reach(found: readonly HandedOver[]): Promise<void> {
    for (const { positions } of found)
      for (const [node, number] of Object.entries(positions))
        while (Number(node) !== me && incoming.taken(Number(node)) < number && !parts.isClosed()) {
          incoming.reaches(Number(node), number)
          if (incoming.taken(Number(node)) >= number) break
          await new Promise(resolve => setTimeout(resolve, 2))
        }
  }

  async function readMissed(
    missing: ReadonlyMap<SessionState, Positions>,
    upTo: Positions,
    place: number,
  ): Promise<void> {
    const from = (state: SessionState, node: string) => missing.get(state)![node] ?? 0
    const sessions = [...missing.keys()]
    if (sessions.some(state => from(state, String(me)) !== upTo[me])) await moves.kept() // its own are in the log then
    const give = moves.missedBy(sessions)
    let at = place
    for (const [node, last] of Object.entries(upTo)) {
      let after = sessions.reduce((least, state) => Math.min(least, from(state, node)), last)
      while (after < last) {
        const rows = await connections.ask(client => readLog(client, Number(node), after, last, PAGE))
        for (const { number, message } of rows) {
          after = number
          const envelope = parts.decode(message)
          if (envelope !== null) give(envelope, ++at, state => from(state, node) < number)
        }
        if (rows.length < PAGE) break
      }
    }
  }

  return {
    hold,
    /**
     * Gives those that are this node's, and now here. Rejects with `NotTakenIn`, and where PostgreSQL does: then those are here that
     * `onLoaded` was called for, and are not loaded again.
     */
    async load(
      clientIds: readonly string[],
      onLoaded: (clientId: string) => void = () => {},
    ): Promise<ReadonlySet<string>> {
      const loaded = new Set(clientIds.filter(clientId => owned.has(clientId)))
      const left = clientIds.filter(clientId => !loaded.has(clientId))
      for (const some of partsOf(await connections.ask(client => readHandedOver(client, me, left)))) {
        await loadTogether(some)
        for (const { clientId } of some) {
          loaded.add(clientId)
          onLoaded(clientId)
        }
      }
      return loaded
    },
  }
}

/** Sessions that are read together: as many as are not too large, and at least one. */
function partsOf(found: readonly HandedOver[]): HandedOver[][] {
  const all: HandedOver[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const session of found) {
    if (bytes + session.bytes > BYTES_MAX) {
      all.push([])
      bytes = 0
    }
    all.at(-1)!.push(session)
    bytes += session.bytes
  }
  return all
}
