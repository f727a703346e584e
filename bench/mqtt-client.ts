// A lean MQTT client for load: a TLS socket and packets written by hand, so that the client costs little.
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { connectPacket, field, remainingLength } from '../test/harness/broker.ts'
import type { BenchDevice } from './fleet.ts'

const contexts = new Map<string, SecureContext>()

type Credentials = Pick<BenchDevice, 'id' | 'certificate' | 'key'>

/** Which every server knows: OpenSSL 3.0 has no post-quantum group, and what others do besides is none of a comparison. */
const COMMON_GROUP = 'X25519'

/** Key and certificate made ready, once for each device: a millisecond that is none of the connection's. */
export function contextOf(
  root: string,
  { certificate, key }: Credentials,
  groups: string = COMMON_GROUP,
): SecureContext {
  const name = `${groups} ${certificate}`
  const known = contexts.get(name)
  if (known !== undefined) return known
  const made = createSecureContext({ ca: root, cert: certificate, key, ecdhCurve: groups })
  contexts.set(name, made)
  return made
}

export type ClientOptions = {
  localAddress?: string
  /** A TLS session to resume, and where to leave the next one. */
  session?: Buffer | undefined
  onSession?(session: Buffer): void
  /** Key exchange groups that it offers, the preferred first, by colons; X25519 alone unless given. */
  groups?: string
  /** Whether the session starts from nothing and leaves nothing. */
  clean?: boolean
  level?: Level
  will?: { topic: string; payload: string; qos: number }
  /** Hears the CONNACK that let it in, and what came with it. */
  onConnack?(packet: Buffer, rest: Buffer, socket: TLSSocket): void
}

/** The protocol level of MQTT 3.1.1, or of 5. */
export type Level = 4 | 5

/** Connects, sends CONNECT, resolves at CONNACK 0 and rejects at anything else. */
export function openClient(
  port: number,
  root: string,
  device: Credentials,
  {
    localAddress = '127.0.0.1',
    session,
    onSession,
    groups,
    clean = true,
    level = 4,
    will,
    onConnack,
  }: ClientOptions = {},
): Promise<TLSSocket> {
  const secureContext = contextOf(root, device, groups)
  return new Promise((resolve, reject) => {
    const options = {
      port,
      host: '127.0.0.1',
      localAddress,
      servername: 'localhost',
      secureContext,
      ...(session ? { session } : {}),
    }
    const socket = connect(options, () => {
      socket.write(
        connectPacket({ clientId: device.id, keepalive: 600, clean, level, ...(will ? { will } : {}) }),
      )
    })
    socket.setNoDelay(true)
    if (onSession) socket.on('session', onSession)
    socket.once('data', (chunk: Buffer) => {
      if (chunk[0] === 0x20 && chunk[3] === 0) {
        onConnack?.(chunk.subarray(0, 4), chunk.subarray(4), socket)
        resolve(socket)
      } else reject(new Error(`CONNACK ${chunk[3]}`))
    })
    socket.on('error', reject)
    socket.once('close', () => reject(new Error(`${device.id} was cut`)))
  })
}

const DISCONNECT = Buffer.from([0xe0, 0x00])

export function closeClient(socket: TLSSocket): Promise<void> {
  return new Promise(resolve => {
    socket.once('close', () => resolve())
    socket.end(DISCONNECT)
    socket.resume()
  })
}

/** A PUBLISH packet; `messageId` where QoS is above 0. */
export function publishPacket(
  topic: string,
  payload: Buffer,
  qos: 0 | 1,
  messageId = 1,
  level: Level = 4,
): Buffer {
  const id = qos === 0 ? Buffer.alloc(0) : Buffer.from([messageId >> 8, messageId & 0xff])
  const body = Buffer.concat([field(topic), id, noProperties(level), payload])
  return Buffer.concat([Buffer.from([0x30 | (qos << 1)]), remainingLength(body.length), body])
}

export function subscribePacket(filter: string, qos: 0 | 1, level: Level = 4): Buffer {
  const body = Buffer.concat([Buffer.from([0, 1]), noProperties(level), field(filter), Buffer.from([qos])])
  return Buffer.concat([Buffer.from([0x82]), remainingLength(body.length), body])
}

/** Before MQTT 5 there is no length of properties either. */
function noProperties(level: Level): Buffer {
  return level === 5 ? Buffer.from([0]) : Buffer.alloc(0)
}

/** Finds whole packets of one kind in what arrives, behind what has arrived already; calls back with each. */
export function countPackets(
  socket: TLSSocket,
  kind: number,
  onPacket: (packet: Buffer) => void,
  arrived: Buffer = Buffer.alloc(0),
): void {
  let rest: Buffer = Buffer.alloc(0)
  const take = (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let offset = 0
    for (;;) {
      const size = packetSize(rest, offset)
      if (size === 0 || offset + size > rest.length) break
      if (rest[offset]! >> 4 === kind) onPacket(rest.subarray(offset, offset + size))
      offset += size
    }
    rest = rest.subarray(offset)
  }
  socket.on('data', take)
  take(arrived)
}

function packetSize(bytes: Buffer, offset: number): number {
  let length = 0
  for (let octet = 0; octet < 4; octet += 1) {
    const value = bytes[offset + 1 + octet]
    if (value === undefined) return 0
    length += (value & 0x7f) * 128 ** octet
    if ((value & 0x80) === 0) return 2 + octet + length
  }
  return 0
}

/** Acknowledges a PUBLISH of QoS 1 whose remaining length takes one or two octets. */
export function pubackFor(publish: Buffer): Buffer {
  const topicAt = publish[1]! & 0x80 ? 3 : 2
  const idAt = topicAt + 2 + publish.readUInt16BE(topicAt)
  return Buffer.from([0x40, 2, publish[idAt]!, publish[idAt + 1]!])
}
