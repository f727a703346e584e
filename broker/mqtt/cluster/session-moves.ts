// What the engine does to sessions that come from other nodes and go to them: types alone.
import type { SessionContent } from '../../../db/sessions/session-mirror.ts'
import type { SessionState } from '../state.ts'
import type { PeerPlace } from './control.ts'
import type { Envelope } from './message-codec.ts'

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
  /**
   * For what these were owed and did not get: gives a message to those of them that it says, in its place, before all that came since they
   * were taken in.
   */
  missedBy(
    states: readonly SessionState[],
  ): (envelope: Envelope, place: number, isOwed: (state: SessionState) => boolean) => void
  /** Begins a place in the order of messages for `missedBy`: more than any session misses. */
  reservePlace(): number
  /** Resolves once what was done before is in PostgreSQL. */
  kept(): Promise<void>
}
