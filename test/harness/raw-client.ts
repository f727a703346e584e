// A device that speaks MQTT byte by byte over real TLS: cheap enough for thousands, and free to misbehave.
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Identity } from './authority.ts'
import {
  connectPacket,
  field,
  firstBytes,
  type Listening,
  openTls,
  remainingLength,
  type TestBroker,
} from './broker.ts'
import { until } from './until.ts'

const CONNACK_BYTES = 4

type Connect = NonNullable<Parameters<typeof connectPacket>[0]>

/** CONNACK alone: the bytes right behind it are left to the next listener. */
async function connackOf(socket: TLSSocket): Promise<Buffer | null> {
  socket.once('data', (chunk: Buffer) => {
    socket.pause()
    if (chunk.length > CONNACK_BYTES) socket.unshift(chunk.subarray(CONNACK_BYTES))
  })
  return (await firstBytes(socket))?.subarray(0, CONNACK_BYTES) ?? null
}

/** A connected session; rejects where CONNACK was not 0. The socket keeps flowing, what arrives is dropped. */
export async function rawSession(
  t: Listening,
  identity: Identity,
  connect: Connect,
  tls: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = await openTls(t, { identity, tls })
  socket.write(connectPacket(connect))
  const answer = await connackOf(socket)
  if (answer?.[3] !== 0) throw new Error(`not admitted: ${answer?.toString('hex') ?? 'cut'}`)
  socket.resume()
  return socket
}

/**
 * Connects once, in order, and keeps the TLS session that the server let it have. A device the broker does not admit
 * keeps what it got before it was cut.
 */
export async function keptSession(
  t: TestBroker,
  identity: Identity | undefined,
  tls: ConnectionOptions = {},
  clientId = '',
): Promise<{ session: Buffer; resumed: boolean }> {
  const socket = await openTls(t, { identity, tls })
  let session = socket.getSession()
  socket.on('session', fresh => {
    session = fresh
  })
  const resumed = socket.isSessionReused()
  socket.write(connectPacket({ clientId }))
  await firstBytes(socket)
  socket.resume()
  socket.end(Buffer.from([0xe0, 0]))
  await ended(socket)
  if (session === undefined) throw new Error('the server gave no session')
  return { session, resumed }
}

/** Resolves when the connection is closed, also by a reset and at once where it is closed already. `once` would reject on a reset. */
export function ended(socket: Socket): Promise<void> {
  socket.on('error', () => {})
  socket.resume()
  if (socket.destroyed) return Promise.resolve()
  return new Promise(resolve => socket.once('close', () => resolve()))
}

/** A packet of any kind and content. */
export function packet(first: number, body: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([first]), remainingLength(body.length), body])
}

export function publishPacket(topic: string, payload: Buffer | string, retain = false): Buffer {
  const body = Buffer.concat([field(topic), Buffer.from(payload)])
  return Buffer.concat([Buffer.from([retain ? 0x31 : 0x30]), remainingLength(body.length), body])
}

export function publishQos2(topic: string, messageId: number, payload = ''): Buffer {
  const id = Buffer.from([messageId >> 8, messageId & 0xff])
  const body = Buffer.concat([field(topic), id, Buffer.from(payload)])
  return Buffer.concat([Buffer.from([0x34]), remainingLength(body.length), body])
}

export function subscribePacket(messageId: number, filters: string[], qos = 0): Buffer {
  const entries = filters.flatMap(filter => [field(filter), Buffer.from([qos])])
  const body = Buffer.concat([Buffer.from([messageId >> 8, messageId & 0xff]), ...entries])
  return Buffer.concat([Buffer.from([0x82]), remainingLength(body.length), body])
}

export function publishQos1(topic: string, messageId: number, payload: string): Buffer {
  const id = Buffer.from([messageId >> 8, messageId & 0xff])
  const body = Buffer.concat([field(topic), id, Buffer.from(payload)])
  return Buffer.concat([Buffer.from([0x32]), remainingLength(body.length), body])
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP, by its packet type. */
export function acknowledgement(kind: 4 | 5 | 6 | 7, messageId: number): Buffer {
  return Buffer.from([(kind << 4) | (kind === 6 ? 2 : 0), 2, messageId >> 8, messageId & 0xff])
}

export type RawPacket = { kind: number; bytes: Buffer }

/** The packets that arrive from now on, whole and in order; the list grows. */
export function packetsOf(socket: TLSSocket): RawPacket[] {
  const packets: RawPacket[] = []
  let rest: Buffer = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    for (let size = packetBytes(rest); size !== null && size <= rest.length; size = packetBytes(rest)) {
      packets.push({ kind: rest[0]! >> 4, bytes: rest.subarray(0, size) })
      rest = rest.subarray(size)
    }
  })
  return packets
}

/** A connection whose CONNECT was answered, with all that comes behind. */
export type Visit = {
  present: boolean
  /** Sends a packet, and resolves with the next one that arrives of the kind that answers it. */
  ask(packet: Buffer, kind: number): Promise<Buffer>
  /** The connection ends as a network fails. */
  cut(): void
}

/** Asks for a session that is kept, unless told otherwise; sends what is given right behind. Rejects where CONNACK was not 0. */
export async function visit(
  t: Listening,
  identity: Identity,
  connect: Connect,
  behind: Buffer = Buffer.alloc(0),
): Promise<Visit> {
  const socket = await openTls(t, { identity })
  const packets = packetsOf(socket)
  async function ask(packet: Buffer, kind: number): Promise<Buffer> {
    const before = packets.length
    const answer = () => packets.slice(before).find(one => one.kind === kind)
    socket.write(packet)
    await until(() => answer() !== undefined || socket.destroyed, 20_000)
    return answer()?.bytes ?? Buffer.from('closed')
  }
  const connack = await ask(Buffer.concat([connectPacket({ clean: false, ...connect }), behind]), 2)
  if (connack[3] !== 0) throw new Error(`not admitted: ${connack.toString('hex')}`)
  return {
    present: connack[2] === 1,
    ask,
    cut: () => void socket.destroy(),
  }
}

/** The size of the packet that begins here, null where its header is not whole. */
function packetBytes(bytes: Buffer): number | null {
  let length = 0
  for (let octet = 0; octet < 4; octet += 1) {
    const value = bytes[1 + octet]
    if (value === undefined) return null
    length += (value & 0x7f) * 128 ** octet
    if ((value & 0x80) === 0) return 2 + octet + length
  }
  return null
}
