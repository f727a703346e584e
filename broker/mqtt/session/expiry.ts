// What ends by the clock: sessions that have outlived their connection for long enough (MQTT 5 §3.1.2.11.2), and the delay of wills
// (§3.1.3.2.2). Checked each second; a returning device is decided by the clock itself.

import type { SessionStore } from '../persistence/session-store.ts'
import type { RetainedMessages } from '../routing/retained.ts'
import type { SessionState } from '../state.ts'
import { type RestoredWillOptions, sendRestoredWill } from './restored-wills.ts'
import type { SessionTable } from './session-table.ts'
import type { StoredStateAuthorization } from './stored-state-authorization.ts'
import type { Wills } from './wills.ts'

export type Expiry = ReturnType<typeof createExpiry>

export function createExpiry(parts: {
  table: SessionTable
  store: SessionStore
  retained: RetainedMessages
  wills: Wills
  storedState: Pick<StoredStateAuthorization, 'leavesNothing'>
  restoredWills: RestoredWillOptions
  onExpired(): void
  onFailed(error: unknown): void
}) {
  const { table, wills, store, retained } = parts

  /** A will whose session ends waits no longer [MQTT-3.1.3-9]. What cannot be decided now is tried again. */
  function sendWill(clientId: string): void {
    const row = wills.waiting(clientId)
    if (row === undefined || row.dueAt === null) return
    try {
      sendRestoredWill(parts.restoredWills, row)
    } catch (error) {
      parts.onFailed(error)
    }
  }

  function endSession(state: SessionState): void {
    table.end(state)
    parts.storedState.leavesNothing(state.clientId)
    sendWill(state.clientId)
  }

  /** Its Session Expiry Interval is over. */
  function expire(state: SessionState): void {
    parts.onExpired()
    endSession(state)
  }

  /** Messages that have expired, or waited too long; some at a time. */
  function dropAged(): void {
    try {
      retained.dropExpired()
      if (store.queue.dropAged()) setImmediate(dropAged)
    } catch (error) {
      parts.onFailed(error)
    }
  }

  return {
    dropAged,
    endSession,
    expire,
    /** A client is back: its will is sent where its delay is over, and else no more [MQTT-3.1.3-9]. */
    clientReturned(clientId: string): void {
      if (wills.isDue(clientId)) sendWill(clientId)
      wills.forget(clientId)
    },
    look(): void {
      for (const state of table.expired()) expire(state)
      for (const { device } of wills.due()) sendWill(device)
    },
  }
}
