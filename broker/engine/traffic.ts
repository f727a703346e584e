// What passes through all connections together, counted as it passes, behind gates too. Knows no topics and no devices.
import type { Inside } from './aedes-client.ts'

/** Counts since the broker's start. Packets are those of MQTT of any kind, bytes theirs; messages are PUBLISH, with their payloads. */
export type Traffic = {
  connects: number
  packetsReceived: number
  packetsSent: number
  bytesReceived: number
  bytesSent: number
  messagesReceived: number
  messagesSent: number
  messagesDropped: number
  payloadBytesReceived: number
  payloadBytesSent: number
}

export function newTraffic(): Traffic {
  return {
    connects: 0,
    packetsReceived: 0,
    packetsSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    messagesReceived: 0,
    messagesSent: 0,
    messagesDropped: 0,
    payloadBytesReceived: 0,
    payloadBytesSent: 0,
  }
}

/** Counts packets and bytes of a connection from now on. Messages are counted where they are judged. */
export function meter({ conn, _parser }: Inside, traffic: Traffic): void {
  const [handle] = _parser.listeners('packet')
  _parser.removeAllListeners('packet')
  _parser.on('packet', packet => {
    traffic.packetsReceived += 1
    handle?.call(_parser, packet)
  })
  // While somebody listens for 'readable', as aedes does, this only reports what is read.
  conn.on('data', (bytes: Buffer) => {
    traffic.bytesReceived += bytes.length
  })
  // mqtt-packet corks once for each packet.
  const { cork } = conn
  conn.cork = () => {
    traffic.packetsSent += 1
    cork.call(conn)
  }
  const write = conn.write as (...all: unknown[]) => boolean
  conn.write = ((chunk: Buffer | string, ...rest: unknown[]) => {
    traffic.bytesSent += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length
    return write.call(conn, chunk, ...rest)
  }) as typeof conn.write
}
