// The interface of a gate: its options, its methods, its observer, and the admission that it asks for.
import type { Peer } from '../../admission/decide.ts'
import type { AdmissionRecord } from '../../db/admission-lookup.ts'
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
    peer: { address: string; fingerprint?: string; deviceId?: string },
    detail?: string,
  ): void
  handshakeTook(ms: number): void
  /** A certificate was refused too often: its connection waits, or is closed without an answer. */
  refusalDelayed(): void
  admissionTook(ms: number): void
  trustReloaded(issuers: number): void
  trustNotReloaded(error: unknown): void
}

/** The part of an admission that a gate uses: the device for which the registry lists the certificate, null for none. What was read of
 * it goes to the engine with the connection. */
export type GateAdmission =
  | { admitted: true; record: AdmissionRecord | { deviceId: string } }
  | { admitted: false; reason: Reason; record: { deviceId: string } | null }

/** The fields of a change that name the certificates and devices concerned. */
export type RegistryChange = Pick<Change, 'kind' | 'deviceId' | 'fingerprint'>

export type Gate = {
  port: number
  /** Reads server certificate, key and trust anchors anew and takes new ticket keys; where that fails the old ones stay. */
  reload(ticketKeys: Buffer): void
  /** Seals and opens session tickets with these keys from now on. */
  useTicketKeys(ticketKeys: Buffer): void
  /** Checks admission again for connections that wait for CONNECT and that a change may concern. */
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
  /** Records strangers whose issuer lets devices register themselves. */
  selfRegistration: Omit<SelfRegistrationOptions, 'issuers'>
  observer: GateObserver
}
