// What the handlers of packets work with.

import type { BrokerSettings } from '../../settings/validation.ts'
import type { PeerPlace } from '../cluster/control.ts'
import type { Closing } from '../connection/closing.ts'
import type { Input } from '../connection/input.ts'
import type { Output } from '../connection/output.ts'
import type { Redirect } from '../connection/redirect.ts'
import type { Sessions } from '../connection/sessions.ts'
import type { DeviceBounds } from '../device-bounds.ts'
import type { EngineEvents } from '../engine-events.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { Router } from '../routing/router.ts'
import type { DeliveryService } from '../session/delivery.ts'
import type { Expiry } from '../session/expiry.ts'
import type { QueueReplay } from '../session/queue-replay.ts'
import type { SessionTable } from '../session/session-table.ts'
import type { StoredStateAuthorization } from '../session/stored-state-authorization.ts'
import type { Wills } from '../session/wills.ts'
import type { Client } from '../state.ts'
import type { Traffic } from '../traffic.ts'

export type HandlerContext = {
  settings: BrokerSettings
  events: EngineEvents
  traffic: Traffic
  sessions: Sessions
  store: SessionStore
  output: Output
  input: Input
  closing: Closing
  table: SessionTable
  router: Router
  retained: RetainedMessages
  delivery: DeliveryService
  queueReplay: QueueReplay
  storedState: StoredStateAuthorization
  wills: Wills
  expiry: Expiry
  boundsOf(isBackend: boolean): DeviceBounds
  nextSequence(): number
  /** The other nodes; null where there is none. */
  cluster: { own(clientId: string, by: PeerPlace): Promise<void> | null } | null
  now(): number
  /** Where clients that come are sent instead; null where they are taken. */
  redirect: { to: Redirect | null }
  /** Whether no new message is taken any more. */
  isDraining(): boolean
  /** Ends a connection that broke a rule: told to the log, the will is sent. */
  fail(client: Client, error: Error): void
  /** A connection is in: its CONNACK is on its way. */
  ready(client: Client): void
}
