// The attacks that one listed device, or one stranger, can make on the broker, each as fast as it can. Knows nothing of what is measured.
import type { TLSSocket } from 'node:tls'
import type { Identity } from '../../test/harness/authority.ts'
import { connectPacket, type Listening, openTls } from '../../test/harness/broker.ts'
import {
  acknowledgement,
  publishPacket,
  publishQos1,
  publishQos2,
  rawSession,
  subscribePacket,
} from '../../test/harness/raw-client.ts'
import { opcodes, rawWebSocket } from '../../test/harness/web-socket.ts'

export type Target = Listening & { id: string; device: Identity; stranger: Identity }
/** Counts what was done; attacks go on until their process is ended. */
export type Counted = (done: number) => void
type Attack = (target: Target, count: Counted) => Promise<void>

const LARGE_BYTES = 256_000
const SMALL_BYTES = 128
const AT_ONCE = 100
const FILTERS = 1_000
const LEVELS = 10
const OCTET_EVERY_MS = 4_000
const SLOW_CONNECTIONS = 340
const PINGREQ = Buffer.from([0xc0, 0])
const ADDRESS = '127.0.0.2'

const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms))
const from = { localAddress: ADDRESS } as object

/** Connects, works until the broker ends it, and comes back at once, as a client does that obeys nothing. */
async function again(target: Target, work: (device: TLSSocket) => Promise<void>): Promise<never> {
  for (;;) {
    const connect = { clientId: target.id, clean: true, keepalive: 0 }
    const device = await rawSession(target, target.device, connect, from).catch(() => null)
    if (device === null) {
      await pause(10)
      continue
    }
    device.on('error', () => {})
    device.setNoDelay(true)
    while (!device.destroyed) {
      await work(device)
      await drained(device)
    }
  }
}

/** When the socket takes more, or is closed. */
async function drained(socket: TLSSocket): Promise<void> {
  while (socket.writableNeedDrain && !socket.destroyed) await pause(1)
  await pause(0)
}

/** A burst of packets of one kind, without end. */
function flood(packetOf: (id: string, index: number) => Buffer, atOnce = AT_ONCE): Attack {
  return (target, count) => {
    let index = 0
    return again(target, async device => {
      device.write(Buffer.concat(Array.from({ length: atOnce }, () => packetOf(target.id, index++))))
      count(atOnce)
    })
  }
}

const messageId = (index: number) => 1 + (index % 65_535)

function retained(id: string, index: number): Buffer {
  return publishPacket(`devices/${id}/retained/${index % 1_100}`, 'x'.repeat(LARGE_BYTES), true)
}

/** Each level a name or a wildcard: all of them match the one topic. */
function overlapping(id: string): string[] {
  return Array.from({ length: FILTERS }, (_, mask) => {
    const levels = Array.from({ length: LEVELS }, (_level, bit) => (mask & (1 << bit) ? '+' : 'a'))
    return `devices/${id}/${levels.join('/')}`
  })
}

async function manyFilters(target: Target, count: Counted): Promise<void> {
  const known = new WeakSet<TLSSocket>()
  const filters = overlapping(target.id)
  const topic = `devices/${target.id}/${Array(LEVELS).fill('a').join('/')}`
  await again(target, async device => {
    if (!known.has(device)) {
      known.add(device)
      device.write(subscribePacket(1, filters))
    }
    device.write(
      Buffer.concat(Array.from({ length: AT_ONCE }, () => publishPacket(topic, 'x'.repeat(SMALL_BYTES)))),
    )
    count(AT_ONCE)
  })
}

async function noReader(target: Target, count: Counted): Promise<void> {
  await again(target, async device => {
    if (!device.isPaused()) {
      device.write(subscribePacket(1, [`devices/${target.id}/#`]))
      device.pause()
    }
    device.write(publishPacket(`devices/${target.id}/x`, 'x'.repeat(LARGE_BYTES)))
    count(1)
  })
}

/** Retains as much as it may, then asks to be shown it all again and again. */
function shownAgain(messages: number, bytes: number): Attack {
  return async (target, count) => {
    const known = new WeakSet<TLSSocket>()
    await again(target, async device => {
      const own = Array.from({ length: messages }, (_, index) => `devices/${target.id}/shown/${index}`)
      if (!known.has(device))
        device.write(Buffer.concat(own.map(topic => publishPacket(topic, 'x'.repeat(bytes), true))))
      known.add(device)
      const filters = [`devices/${target.id}/#`, `devices/${target.id}/+/+`]
      device.write(
        Buffer.concat(Array.from({ length: 10 }, (_, index) => subscribePacket(1 + index, filters))),
      )
      count(10)
    })
  }
}

/** A long packet, each of its octets in a TLS record of its own. */
async function octets(target: Target, count: Counted): Promise<void> {
  const bytes = publishPacket(`devices/${target.id}/x`, 'x'.repeat(SMALL_BYTES))
  let at = 0
  await again(target, async device => {
    await new Promise(resolve => device.write(bytes.subarray(at, at + 1), resolve))
    at = (at + 1) % bytes.length
    count(1)
  })
}

/** The header of an upgrade, an octet at a time, over as many connections as it may have. */
async function slowHeaders(target: Target, count: Counted): Promise<void> {
  const slow = async () => {
    for (;;) {
      const socket = await openTls(target, { identity: target.device, tls: from }).catch(() => null)
      if (socket === null) {
        await pause(100)
        continue
      }
      socket.on('error', () => {})
      socket.write('GET /mqtt HTTP/1.1\r\nX: ')
      count(1)
      const timer = setInterval(() => socket.write('x'), OCTET_EVERY_MS)
      await new Promise(resolve => socket.resume().once('close', resolve))
      clearInterval(timer)
      // Not as fast as it can: a flood of handshakes is an attack of its own.
      await pause(OCTET_EVERY_MS)
    }
  }
  await Promise.all(Array.from({ length: SLOW_CONNECTIONS }, slow))
}

/** Ping frames over a WebSocket, which carry no MQTT bytes. */
async function webSocketPings(target: Target, count: Counted): Promise<void> {
  for (;;) {
    const device = await rawWebSocket(target, target.device, {}, from).catch(() => null)
    if (device === null || device.status !== 101) {
      await pause(10)
      continue
    }
    device.send(opcodes.binary, connectPacket({ clientId: target.id, keepalive: 0 }))
    while (!device.socket.destroyed) {
      for (let sent = 0; sent < AT_ONCE; sent += 1) device.send(opcodes.ping, Buffer.alloc(0))
      count(AT_ONCE)
      await drained(device.socket)
    }
  }
}

/** Connections that end right after their handshake or CONNECT, one after the other, some at once. */
function visits(identityOf: (target: Target) => Identity, atOnce: number): Attack {
  return async (target, count) => {
    const visit = async () => {
      for (;;) {
        const socket = await openTls(target, { identity: identityOf(target), tls: from }).catch(() => null)
        count(1)
        if (socket === null) continue
        socket.on('error', () => {})
        socket.write(connectPacket({ clientId: target.id }))
        await new Promise(resolve =>
          socket
            .resume()
            .once('close', resolve)
            .once('data', () => socket.destroy()),
        )
      }
    }
    await Promise.all(Array.from({ length: atOnce }, visit))
  }
}

export const attacks: Record<string, Attack> = {
  'retained messages of 256 kB': flood(retained, 1),
  'retained messages, small': flood((id, index) =>
    publishPacket(`devices/${id}/${index % 1_000}`, 'x', true),
  ),
  'QoS 2 of 256 kB without PUBREL': flood(
    (id, index) => publishQos2(`devices/${id}/x`, messageId(index), 'x'.repeat(LARGE_BYTES)),
    1,
  ),
  '1,000 overlapping filters': manyFilters,
  'publish at QoS 0': flood(id => publishPacket(`devices/${id}/x`, 'x'.repeat(SMALL_BYTES))),
  'publish at QoS 1': flood((id, index) =>
    publishQos1(`devices/${id}/x`, messageId(index), 'x'.repeat(SMALL_BYTES)),
  ),
  'a consumer that does not read': noReader,
  'the same filters again and again': flood(
    (id, index) => subscribePacket(messageId(index), [`devices/${id}/#`, `devices/${id}/+/x`]),
    10,
  ),
  'shown 1,000 retained messages again and again': shownAgain(1_000, 1),
  'shown four of 250 kB again and again': shownAgain(4, 250_000),
  PINGREQ: flood(() => PINGREQ),
  'acknowledgements of nothing': flood((_, index) => acknowledgement(4, messageId(index))),
  'packets octet by octet': octets,
  'slow WebSocket headers': slowHeaders,
  'WebSocket pings': webSocketPings,
  'connects of a device, 8 at once': visits(target => target.device, 8),
  'connects of strangers, 8 at once': visits(target => target.stranger, 8),
}
