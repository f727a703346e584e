// What the engine takes and gives, for the composition of the broker.
import type { Reason } from '../../db/reason.ts'
import type { ProtocolName } from '../../db/roll/live-sessions.ts'
import type { SessionFile } from '../../db/sessions/session-file.ts'
import type { Admit } from '../admission/admit.ts'
import type { ConnectionHandler } from '../connection-handler.ts'
import type { EndCodes, PeerInfo } from '../observability/logging.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import type { Session, Sessions } from './connection/sessions.ts'
import type { DeniedQuestion, RightsResolver } from './rights-resolver.ts'
import type { SessionStatistics } from './session-statistics.ts'
import type { Traffic } from './traffic.ts'

/** By their names, whatever they were granted. */
export type Filters = { keys(): Iterable<string> }

export type EngineEvents = {
  /** `code` is the Reason Code that it was told; null for none. */
  refused(reason: Reason, peer: PeerInfo, detail?: string, code?: number | null): void
  admitted(peer: PeerInfo): void
  connected(peer: PeerInfo, clean: boolean, protocol: ProtocolName): void
  disconnected(peer: PeerInfo, why: string, codes: EndCodes): void
  /** It was answered CONNACK 0. */
  connectionAccepted(session: Session): void
  /** It was connected until now. */
  connectionEnded(session: Session): void
  /** What is stored for a device that is away has changed: how much waits, or whether anything is kept. */
  storedSessionChanged(deviceId: string): void
  cut(reason: Reason, peer: PeerInfo): void
  takenOver(peer: PeerInfo, by: PeerInfo): void
  denied(reason: Reason, peer: PeerInfo, topic: string): void
  /** A policy does not allow what it asked for. */
  rightDenied(session: Session, question: DeniedQuestion): void
  /** It has sent more than it may, and is not read for a while. */
  slowed(peer: PeerInfo): void
  dropped(what: 'outbound' | 'too_large' | 'offline' | 'aged' | 'retained' | 'shared', deviceId: string): void
  /** A stored session whose expiry was over has ended. */
  sessionExpired(): void
  clientFailed(peer: PeerInfo, error: Error): void
  engineFailed(error: unknown): void
  /** What was about to be kept for devices that are away is lost: nothing of it was acknowledged. */
  sessionsUnkept(error: unknown): void
  sessionsKept(tookMs: number): void
  firstUse(fingerprint: string, deviceId: string): void
  /** The filters are the session's own: read them when they are needed. `granted` where one was added. */
  subscriptionsChanged(peer: PeerInfo, filters: Filters, granted?: string): void
  /** How long one message took to all its receivers; told of some. */
  routed(tookMs: number): void
}

export type Engine = {
  handleConnection: ConnectionHandler
  sessions: Sessions
  /** Ends a live session at once and silences its will, in memory and stored. */
  cut(session: Session, reason: Reason): void
  /** Ends a live session that has lost no right: its will is sent. */
  end(session: Session, reason: Reason): void
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
  /** The changes up to this epoch that delete stored sessions are in effect, and stay so after a restart. */
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
  /** How often it is looked which sessions and delays of wills have ended; each second where it is absent. */
  expiryCheckMs?: number | undefined
}
