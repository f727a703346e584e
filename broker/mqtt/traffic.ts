// What passes through all connections together, counted as it passes, behind gates too. Knows no topics and no devices.
import type { EngineEvents } from './engine-events.ts'

/** Counts since the broker's start. Packets are those of MQTT of any kind, bytes theirs; messages are PUBLISH, with their payloads. */
export type Traffic = {
  /** Stored sessions whose expiry was over. */
  sessionsExpired: number
  /** DISCONNECT packets of the broker, by their Reason Code. */
  disconnectsSent: Map<number, number>
  connects: number
  packetsReceived: number
  packetsSent: number
  bytesReceived: number
  bytesSent: number
  messagesReceived: number
  /** Those that were routed, with wills. */
  messagesAccepted: number
  messagesSent: number
  messagesDropped: number
  payloadBytesReceived: number
  payloadBytesSent: number
}

export function newTraffic(): Traffic {
  return {
    sessionsExpired: 0,
    disconnectsSent: new Map(),
    connects: 0,
    packetsReceived: 0,
    packetsSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    messagesReceived: 0,
    messagesAccepted: 0,
    messagesSent: 0,
    messagesDropped: 0,
    payloadBytesReceived: 0,
    payloadBytesSent: 0,
  }
}

/** The same events; those that traffic counts are counted. */
export function countingEvents(events: EngineEvents, traffic: Traffic): EngineEvents {
  return {
    ...events,
    dropped(what, deviceId) {
      if (what !== 'retained') traffic.messagesDropped += 1
      events.dropped(what, deviceId)
    },
    disconnected(peer, why, codes) {
      const { sent } = codes
      if (sent !== null) traffic.disconnectsSent.set(sent, (traffic.disconnectsSent.get(sent) ?? 0) + 1)
      events.disconnected(peer, why, codes)
    },
    sessionExpired() {
      traffic.sessionsExpired += 1
      events.sessionExpired()
    },
  }
}
