// What the engine does for the cluster: types alone.
import type { TokensLeft } from '../connection/token-bucket.ts'
import type { Message } from '../message.ts'
import type { Arrival } from '../routing/router.ts'
import type { PeerPlace } from './control.ts'
import type { Envelope } from './message-codec.ts'
import type { SessionMoves } from './session-moves.ts'

/** What the engine does for the cluster. */
export type EngineSide = {
  nextSequence(): number
  /** Gives the groups that are left to this node. */
  receiveFrom(message: Message, from: Arrival): readonly string[]
  isWanted(topic: string): boolean
  giveToGroup(asked: string, message: Message): boolean
  /** A node that has members of this group, the one whose turn it is; null for this one, or where nobody knows of any. */
  placeOf(asked: string): number | null
  /** A message that no member of a group took. */
  forgotten(asked: string): void
  shares(): ReadonlyMap<string, number>
  /** On whose right it is retained; null where nobody knows. */
  principalOf(publisher: string): Envelope['principal']
  retains(principal: NonNullable<Envelope['principal']>): void
  /** Something of this client's session is not stored and will not be: it is answered nothing that waits for that. */
  rowRefused(clientId: string): void
  keepRetained(message: Message): void
  isRetained(topic: string): boolean
  /** Begins a group, where none is open. */
  touch(): void
  kept(): Promise<void>
  clearedEpoch(): number
  groupsHere(): string[]
  groupChanges(): number
  setElsewhere(asked: string, nodes: readonly number[]): void
  /** The connection of a device ended at another node, for this client of it came here. */
  takenOver(clientId: string, ended: PeerPlace, by: PeerPlace): void
  /** What a device may still send at once; null where that is all. */
  tokensLeft(clientId: string): TokensLeft | null
  /** The same, of the node that it comes from. */
  takeInTokens(clientId: string, left: TokensLeft): void
  moves: Omit<SessionMoves, 'kept'>
}
