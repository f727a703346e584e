// What the engine takes and gives, for the composition of the broker.
import type { RetainedClearing } from '../../db/change-feed.ts'
import type { Reason } from '../../db/reason.ts'
import type { RetainedFacts } from '../../db/retained/retained-file.ts'
import type { SessionFile } from '../../db/sessions/session-file.ts'
import type { Admit } from '../admission/admit.ts'
import type { ConnectionHandler } from '../connection-handler.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import type { Cluster } from './cluster/index.ts'
import type { Redirect } from './connection/redirect.ts'
import type { Session, Sessions } from './connection/sessions.ts'
import type { EngineEvents } from './engine-events.ts'
import type { RightsResolver } from './rights-resolver.ts'
import type { SessionStatistics } from './session-statistics.ts'
import type { Traffic } from './traffic.ts'
import type { Tryouts } from './tryouts.ts'

export type Engine = {
  handleConnection: ConnectionHandler
  sessions: Sessions
  /** Ends a live session at once and silences its will, in memory and stored. */
  cut(session: Session, reason: Reason): void
  /** Ends a live session that has lost no right: its will is sent. */
  end(session: Session, reason: Reason): void
  /** From now on clients that come are sent elsewhere; with null they are taken. */
  redirect(to: Redirect | null): void
  /**
   * Ends a live session that is to go where clients are sent; with `patient` not while something of it is half done. Gives
   * whether it has ended.
   */
  sendAway(session: Session, patient: boolean): boolean
  /** Binds the rights of a live session anew; subscriptions now denied are dropped. Throws where policies cannot be read. */
  reauthorize(session: Session): void
  /** The same for the stored session and the retained messages of one device. */
  reauthorizeStoredState(deviceId: string): void
  /** Policies changed for all: retained messages are checked anew from now on. Gives the principals whose stored sessions are to be checked, too. */
  policiesChanged(): string[]
  /** Forgets what a device left: its stored session and its retained messages. */
  purge(deviceId: string): Promise<void>
  /** Ends the stored session of a device that keeps its right: its will is sent, its retained messages stay. */
  clearSession(deviceId: string): void
  /** Clears what its topic retains, where that was published before, by its device if it names one. Subscribers are told nothing. */
  clearRetained(clearing: RetainedClearing): void
  /** What a topic retains; null for nothing. */
  retainedFacts(topic: string): RetainedFacts | null
  retainedTopics(): Iterable<string>
  tryouts: Tryouts
  /** The changes up to this epoch that delete stored sessions or retained messages are in effect, and stay so after a restart. */
  sessionsClearedTo(epoch: number): void
  /** The epoch last given so, in this life or an earlier one. */
  clearedEpoch(): number
  /** Principals that left something in this run or an earlier one: a stored session, retained messages, a will. */
  leftBy(): string[]
  /** Wills of connections that ended with the broker's last life: a step for each, which throws while nobody can say. */
  restoredWills(): Iterable<() => void>
  /** Publishes as the broker itself; what it retains below `$` is kept in memory alone. */
  announce(message: { topic: string; payload: string; qos: 0 | 1; retain: boolean }): void
  /** Whether a session of this device outlives its connection, and how many messages it holds. */
  storedSession(deviceId: string): { kept: boolean; waiting: number }
  /** What went in and out, counted on. */
  traffic: Readonly<Traffic>
  /** Connected and stored sessions, and their subscriptions. Looks at every session. */
  sessionStatistics(): SessionStatistics
  /** What waits in stored sessions, and what devices retained. */
  queued(): { queuedMessages: number; queuedBytes: number; retained: number; retainedBytes: number }
  /**
   * Takes nothing new and waits until nothing is half done, for so long at most; gives how many sessions were not done then.
   * Rights still end meanwhile.
   */
  drain(deadlineMs: number): Promise<number>
  close(): Promise<void>
}

export type EngineOptions = {
  settings: BrokerSettings
  /** Where the engine registers its sessions. */
  sessions: Sessions
  admit: Admit
  rightsOf: RightsResolver
  events: EngineEvents
  /** Where stored sessions are kept. Closed with the engine. */
  sessionFile: SessionFile
  /** Whether nothing that this device left is worth anything any more. Throws where nobody can say. */
  isGone(deviceId: string): boolean
  now(): number
  /** The other nodes; absent where this is the only one. Its session file is `sessionFile`. */
  cluster?: Cluster | null | undefined
  /** How often it is looked which sessions and delays of wills have ended; each second where it is absent. */
  expiryCheckMs?: number | undefined
}
