// The sessions of a device as operators see them: client ID, address, transport.
import type { LiveSession } from '../../db/roll/live-sessions.ts'
import type { Session } from '../mqtt/connection/sessions.ts'

/** Only sessions that got CONNACK 0; the newest of each client ID. */
export function liveSessions(sessions: readonly Session[]): LiveSession[] {
  return sessions.flatMap(({ connected, connect, identity, address, transportInfo }) => {
    if (!connected || connect === null) return []
    const { clientId, at, ...facts } = connect
    const { deviceId, fingerprint } = identity
    return [{ deviceId, clientId, fingerprint, address, since: at, facts: { ...facts, ...transportInfo } }]
  })
}
