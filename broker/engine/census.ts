// How many there are at this moment: connected, away with a stored session, and what all of them are subscribed to.
import type { SessionStore } from './session-store.ts'
import type { Sessions } from './sessions.ts'

export type Census = {
  connected: number
  /** The most that were connected at once. */
  connectedMax: number
  /** Stored sessions whose device is away. */
  away: number
  subscriptions: number
}

/** Looks at every session once. */
export function takeCensus(
  sessions: Sessions,
  store: Pick<SessionStore, 'storedDevices' | 'subscriptionCount'>,
): Census {
  const present = new Set<string>()
  // What a stored session is subscribed to counts where it is stored, whether its device is here or not.
  let subscriptions = store.subscriptionCount()
  for (const { connected, connect, identity, filters } of sessions.all()) {
    if (!connected) continue
    present.add(identity.deviceId)
    if (connect?.clean) subscriptions += filters.size
  }
  let away = 0
  for (const device of store.storedDevices()) if (!present.has(device)) away += 1
  return { ...sessions.connected(), away, subscriptions }
}
