// Wills (MQTT 5 §3.1.2.5): kept with their connection and on disk, published where it ends other than by DISCONNECT, after their
// delay, never where its right was taken. Whether a will may be published is asked again then.

import type { WillRow } from '../../../db/sessions/session-records.ts'
import { peerInfoOf, principalOf, type Session } from '../connection/sessions.ts'
import type { EngineEvents } from '../engine-events.ts'
import type { Message } from '../message.ts'
import type { SessionStore } from '../persistence/session-store.ts'
import { isLonger } from '../protocol/octets.ts'
import type { Principal } from '../rights-resolver.ts'
import type { Client, Will } from '../state.ts'
import type { Traffic } from '../traffic.ts'

export type Wills = ReturnType<typeof createWills>

export function createWills(parts: {
  store: SessionStore
  events: Pick<EngineEvents, 'denied' | 'rightDenied' | 'dropped' | 'engineFailed'>
  traffic: Traffic
  topicBytesMax: number
  /** It is about to be retained. Gives whether it fits what its device may retain, and all together may. */
  mayRetain(principal: Principal, message: Will['message']): boolean
  publish(message: Omit<Message, 'sequence'>): void
  now(): number
}) {
  const { store, events } = parts
  /** Those of the last life that were not sent yet. */
  const left = new Map<string, WillRow>()

  function rowOf(session: Session, { message, expirySeconds, delaySeconds }: Will): WillRow {
    const { deviceId, issuerId, serialNumber } = principalOf(session)
    const { topic, payload, qos, retain, properties } = message
    return {
      device: deviceId,
      issuer: issuerId,
      serial: serialNumber,
      fingerprint: session.identity.fingerprint,
      topic,
      payload,
      qos,
      retain: retain ? 1 : 0,
      properties,
      expirySeconds,
      delaySeconds,
      dueAt: null,
    }
  }

  const isDue = ({ dueAt }: WillRow) => dueAt !== null && dueAt <= parts.now()

  function forget(clientId: string): void {
    left.delete(clientId)
    store.removeWill(clientId)
  }

  function send(will: Will, principal: Principal): void {
    let { retain } = will.message
    // One that does not fit is sent all the same; its device is not there to be refused.
    if (retain && !parts.mayRetain(principal, will.message)) {
      events.dropped('retained', principal.deviceId)
      retain = false
    }
    parts.traffic.messagesAccepted += 1
    const expiresAt = will.expirySeconds === null ? null : parts.now() + will.expirySeconds * 1_000
    try {
      parts.publish({ ...will.message, retain, expiresAt })
      forget(principal.deviceId) // in the group that its message is written with
    } catch (error) {
      events.engineFailed(error) // it stays, and is sent by the next life
    }
  }

  return {
    left: left as ReadonlyMap<string, WillRow>,
    restore: (row: WillRow) => void left.set(row.device, row),

    /** Its CONNECT brought one. Gives whether it is to be on disk before CONNACK. */
    put(client: Client, will: Will): void {
      client.will = will
      left.delete(client.session.identity.deviceId)
      store.putWill(rowOf(client.session, will))
    },

    /** A connection ended without DISCONNECT; its session goes on until then, null for without end, or has ended with it. */
    connectionEnded(client: Client, sessionEndsAt: number | null | 'ended'): void {
      const { will, session } = client
      client.will = null
      if (will === null) return
      if (will.delaySeconds > 0 && sessionEndsAt !== 'ended') {
        // The delay, or the end of the session, whichever is first [MQTT-3.1.3-9].
        const dueAt = Math.min(
          parts.now() + will.delaySeconds * 1_000,
          sessionEndsAt ?? Number.POSITIVE_INFINITY,
        )
        const row = { ...rowOf(session, will), dueAt }
        left.set(row.device, row)
        store.putWill(row)
        return
      }
      const { topic, qos, retain } = will.message
      if (!isLonger(topic, parts.topicBytesMax) && session.rights.will(topic, qos, retain)) {
        send(will, principalOf(session))
        return
      }
      events.denied('publish_denied', peerInfoOf(session), topic)
      events.rightDenied(session, { action: 'will', topic, qos, retain })
      forget(session.identity.deviceId)
    },

    /** Those of connections that have ended whose delay is over. */
    due: (): WillRow[] => [...left.values()].filter(isDue),
    isDue: (clientId: string) => {
      const row = left.get(clientId)
      return row !== undefined && isDue(row)
    },
    /** One that waits for its delay, or that the last life left; undefined for none. */
    waiting: (clientId: string) => left.get(clientId),
    /** After a start: its connection ended with the last life, and its delay begins now. */
    delay(row: WillRow, dueAt: number): void {
      const delayed = { ...row, dueAt }
      left.set(row.device, delayed)
      store.putWill(delayed)
    },

    /** It is not to be sent. */
    drop(client: Client): void {
      if (client.will === null) return
      client.will = null
      forget(client.session.identity.deviceId)
    },

    send,
    forget,
  }
}
