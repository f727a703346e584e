// What the engine reports while it runs. Does not know its observers.
import type { Reason } from '../../db/reason.ts'
import type { ProtocolName } from '../../db/roll/live-sessions.ts'
import type { EndCodes, PeerInfo } from '../observability/logging.ts'
import type { Filters, Session } from './connection/sessions.ts'
import type { DeniedQuestion } from './rights-resolver.ts'

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
  /** What a topic retains is another message now, or none. */
  retainedChanged(topic: string): void
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
  /** How long one message of QoS 1 or 2 took from its PUBLISH to the acknowledgement, the disk included; told of some. */
  publishAcknowledged(tookMs: number): void
}
