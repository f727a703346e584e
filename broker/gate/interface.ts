// What a gate is to the rest of the broker: its parts, its verbs, its events, and what it asks about an admission.
import type { Peer } from '../../admission/decide.ts'
import type { Change } from '../../db/change-feed.ts'
import type { Reason } from '../../db/reason.ts'
import type { SelfRegistrationOptions } from '../admission/self-registration.ts'
import type { ConnectionHandler } from '../connection-handler.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import type { Limits } from './limits/connection-limits.ts'
import type { ReadTrust } from './tls/trust.ts'

export type GateObserver = {
  refused(
    reason: Reason,
    who: { address: string; fingerprint?: string; deviceId?: string },
    detail?: string,
  ): void
  handshakeTook(ms: number): void
  /** A certificate is refused again and again: its connection waits, or is closed unanswered. */
  refusalDelayed(): void
  admissionTook(ms: number): void
  trustReloaded(issuers: number): void
  trustNotReloaded(error: unknown): void
}

/** What a gate needs to know of an admission: whom the registry lists the certificate for, null for nobody. */
export type GateAdmission =
  | { admitted: true; record: { deviceId: string } }
  | { admitted: false; reason: Reason; record: { deviceId: string } | null }

/** What of a change tells whom it may concern. */
export type RegistryChange = Pick<Change, 'kind' | 'deviceId' | 'fingerprint'>

export type Gate = {
  port: number
  /** Reads server certificate, key and trust anchors anew and takes new ticket keys; where that fails the old ones stay. */
  reload(ticketKeys: Buffer): void
  /** Seals and opens session tickets with these keys from now on. */
  useTicketKeys(ticketKeys: Buffer): void
  /** Asks again about connections that wait for CONNECT and that a change of the registry may concern. */
  changed(change: RegistryChange): void
  /** Stops accepting and closes connections that the engine does not have yet; resolves when the last connection is gone. */
  stop(): Promise<void>
}

export type GateOptions = {
  host: string
  port: number
  /** Whether other gates listen on the same port. */
  shared: boolean
  settings: BrokerSettings
  limits: Limits
  readTrust: ReadTrust
  /** 48 bytes, the same for all gates of a broker. */
  ticketKeys: Buffer
  admit: (peer: Peer) => GateAdmission
  handleConnection: ConnectionHandler
  /** Where strangers are noted whose issuer lets them register themselves. */
  selfRegistration: Omit<SelfRegistrationOptions, 'issuers'>
  observer: GateObserver
}
