// How many there are at this moment: connected, away with a stored session, and what all of them are subscribed to.
import type { ProtocolName } from '../../db/roll/live-sessions.ts'
import type { Sessions } from './connection/sessions.ts'
import type { SessionStore } from './persistence/session-store.ts'
import type { SessionTable } from './session/session-table.ts'

export type SessionStatistics = {
  connected: number
  /** The most that were connected at once. */
  connectedMax: number
  /** Those that are connected, by version of MQTT. */
  byProtocol: Readonly<Record<ProtocolName, number>>
  /** Stored sessions whose device is away. */
  away: number
  subscriptions: number
}

/** Looks at every session once. */
export function readSessionStatistics(
  sessions: Sessions,
  table: SessionTable,
  store: SessionStore,
): SessionStatistics {
  // What a stored session is subscribed to counts where it is stored, whether its device is here or not.
  let subscriptions = store.subscriptionCount()
  let away = 0
  for (const { isKept, client, subscriptions: own } of table.all()) {
    if (!isKept) subscriptions += own.size
    else if (client === null || client.phase !== 'open') away += 1
  }
  return { ...sessions.connected(), away, subscriptions }
}

/** Whether a session outlives its connection, and how many messages are stored for it. */
export function readStoredSession(table: SessionTable, store: SessionStore, deviceId: string) {
  const state = table.get(deviceId)
  const waiting = state?.row == null ? 0 : store.queue.size(state.row)
  return { kept: state?.isKept === true && state.expirySeconds !== 0, waiting }
}
