// What of the sessions of a device is noted for operators: who is connected, from where, over what.
import type { LiveSession } from '../../db/roll/live-sessions.ts'
import type { Session } from '../mqtt/connection/sessions.ts'

/** Of those that were answered CONNACK 0; the newest of a client ID stands for it. */
export function liveSessions(sessions: readonly Session[]): LiveSession[] {
  return sessions.flatMap(({ connected, connect, identity, address, transportInfo }) => {
    if (!connected || connect === null) return []
    const { clientId, at, ...facts } = connect
    const { deviceId, fingerprint } = identity
    return [{ deviceId, clientId, fingerprint, address, since: at, facts: { ...facts, ...transportInfo } }]
  })
}
