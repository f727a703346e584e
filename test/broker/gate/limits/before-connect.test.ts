// The time between TCP accept and CONNECT, over every way in: one deadline that no peer can stretch, and no connection that a
// revocation, a decommissioning or a stop does not find. Gate inside and as a process.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import type { Identity } from '../../../harness/authority.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import { proxyHeader } from '../../../harness/proxy-header.ts'
import { ended, rawSession } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

const UPGRADE =
  'GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n'
/** A masked, empty Ping frame (RFC 6455 §5.5.2). */
const PING = Buffer.from([0x89, 0x80, 1, 2, 3, 4])
const OCTET_MS = 100
const ACCEPT_MS = 250
/** Long enough to reach each stage on a busy machine. */
const DEADLINE_MS = 2_000

type Stage = {
  /** Brings a connection, its handshake done, to where it waits. */
  reach(socket: TLSSocket): Promise<void>
  /** What keeps it busy without ever being a CONNECT. */
  dribble(turn: number): Buffer
}

const stages: Record<string, Stage> = {
  'waits for the first octet': { reach: async () => {}, dribble: () => Buffer.alloc(0) },
  'sends CONNECT octet by octet': {
    async reach(socket) {
      socket.write(
        connectPacket({ clientId: 'd1', will: { topic: 't', payload: 'x'.repeat(60_000) } }).subarray(0, 20),
      )
    },
    dribble: () => Buffer.from('x'),
  },
  'sends the header of its upgrade octet by octet': {
    async reach(socket) {
      socket.write('GET /mqtt HTTP/1.1\r\nX: ')
    },
    dribble: () => Buffer.from('x'),
  },
  'has upgraded and pings': {
    async reach(socket) {
      socket.write(UPGRADE)
      assert.match(String(await firstBytes(socket)), /^HTTP\/1.1 101 /)
      socket.resume()
    },
    dribble: () => PING,
  },
}

async function handshakes(t: TestBroker): Promise<number> {
  return Number(/^rollcall_handshake_seconds_count (\d+)/m.exec(await t.broker.metrics())?.[1])
}

async function connections(t: TestBroker): Promise<number> {
  return Number(/^rollcall_connections (\d+)/m.exec(await t.broker.metrics())?.[1])
}

/** A TCP connection that the broker has most likely accepted. */
async function accepted(t: TestBroker): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port: t.broker.port })
  socket.on('error', () => {})
  await once(socket, 'connect')
  await pause(ACCEPT_MS)
  return socket
}

/** A client knows that its handshake is done before the broker has judged it. */
async function reached(t: TestBroker, identity: Identity, { reach }: Stage): Promise<TLSSocket> {
  const before = await handshakes(t)
  const socket = await openTls(t, { identity })
  socket.on('error', () => {})
  await until(async () => (await handshakes(t)) > before)
  await reach(socket)
  return socket
}

for (const gates of [0, 1]) {
  const on = (
    name: string,
    settings: Record<string, number | string>,
    work: (t: TestBroker) => Promise<void>,
  ) =>
    test(`${gates} gates: ${name}`, async () => {
      const t = await startTestBroker({ settings: { gates, ...settings } })
      try {
        await work(t)
      } finally {
        await t.close()
      }
    })

  /** One after the other on the same broker, with a prefix for the names of devices. */
  async function atEachStage(work: (stage: Stage, of: string) => Promise<void>): Promise<void> {
    for (const [index, stage] of Object.values(stages).entries()) await work(stage, `s${index}`)
  }

  on(
    'a client is closed by the one deadline, whatever it sends',
    { connectTimeoutMs: DEADLINE_MS },
    async t => {
      const closings = Object.entries(stages).map(async ([name, { reach, dribble }], index) => {
        const id = `d${index}`
        const identity = await t.roll.enroll(id)
        const began = performance.now()
        const socket = await openTls(t, { identity })
        socket.on('error', () => {})
        await reach(socket)
        let turn = 0
        const busy = setInterval(() => socket.write(dribble(turn++)), OCTET_MS)
        // A deadline that each octet put off would never come.
        await ended(socket)
        clearInterval(busy)
        const took = performance.now() - began
        assert.ok(took > DEADLINE_MS * 0.99, `${name}: ${took} ms`)
        await t.line(line => line.reason === 'connect_timeout' && line.deviceId === id)
      })
      await Promise.all(closings)
    },
  )

  on('a client at any stage is cut by what ends its right', { connectTimeoutMs: 120_000 }, async t => {
    const endings: Record<string, (fingerprint: string, id: string) => Promise<unknown>> = {
      certificate_revoked: fingerprint => t.roll.writer.revokeCertificate(fingerprint, 'unspecified', tester),
      device_suspended: (_, id) => t.roll.writer.setDeviceState(id, 'suspended', tester),
      device_decommissioned: (_, id) => t.roll.writer.setDeviceState(id, 'decommissioned', tester),
      issuer_disabled: () => t.roll.writer.setIssuerEnabled(t.roll.issuerId, false, tester),
    }
    await atEachStage(async (stage, of) => {
      for (const [reason, endRight] of Object.entries(endings)) {
        const id = `${of}-${reason}`
        const identity = await t.roll.enroll(id)
        const other = await reached(t, await t.roll.enroll(`${of}-beside-${reason}`), stage)
        const socket = await reached(t, identity, stage)
        await endRight(identity.fingerprint, id)
        await ended(socket)
        await t.line(line => line.reason === reason && line.deviceId === id)
        if (reason !== 'issuer_disabled') assert.equal(other.destroyed, false, 'an unconcerned client stays')
        other.destroy()
      }
      await t.roll.writer.setIssuerEnabled(t.roll.issuerId, true, tester)
      const back = await t.roll.enroll(`${of}-back`)
      const isBack = () => attempt(t, { identity: back, connect: { clientId: `${of}-back` } })
      await until(async () => (await isBack()) === 'connack 0')
    })
  })

  on(
    'a client at any stage makes room for newer connections of its certificate, and for nobody else’s',
    { connectTimeoutMs: 120_000, certificatePendingMax: 2 },
    t =>
      atEachStage(async (stage, of) => {
        const identity = await t.roll.enroll(`${of}-d1`)
        const other = await reached(t, await t.roll.enroll(`${of}-d2`), stage)
        const first = await reached(t, identity, stage)
        const second = await reached(t, identity, stage)
        assert.equal(first.destroyed, false)
        const gone = ended(first)
        const third = await reached(t, identity, stage)
        await gone
        await t.line(line => line.reason === 'connects_exceeded' && line.deviceId === `${of}-d1`)
        assert.deepEqual(
          [other, second, third].map(socket => socket.destroyed),
          [false, false, false],
        )
        for (const socket of [other, second, third]) socket.destroy()
      }),
  )

  on(
    'a client at any stage keeps no broker from stopping',
    { connectTimeoutMs: 120_000, drainMs: 0 },
    async t => {
      const sockets: TLSSocket[] = []
      await atEachStage(
        async (stage, of) => void sockets.push(await reached(t, await t.roll.enroll(of), stage)),
      )
      const began = performance.now()
      await Promise.all([t.broker.close(), ...sockets.map(ended)])
      assert.ok(performance.now() - began < 30_000)
    },
  )

  on(
    'one certificate cannot take the connections of the others, and sessions do not count against it',
    { connectTimeoutMs: 120_000, connectionsMax: 6, certificatePendingMax: 2 },
    async t => {
      const identity = await t.roll.enroll('d1')
      const suspended = await t.roll.enroll('d2')
      await t.roll.writer.setDeviceState('d2', 'suspended', tester)
      const session = await rawSession(t, identity, { clientId: 'd1' })
      for (let index = 0; index < 8; index += 1) {
        await reached(t, identity, stages['waits for the first octet']!)
        await reached(t, suspended, stages['waits for the first octet']!)
        await until(async () => (await connections(t)) <= 5)
      }
      const third = await t.roll.enroll('d3')
      assert.equal(await attempt(t, { identity: third, connect: { clientId: 'd3' } }), 'connack 0')
      assert.equal(session.destroyed, false)
      session.destroy()
    },
  )

  on(
    'a balancer’s header and the handshake share one deadline',
    { proxyFrom: '127.0.0.1', handshakeTimeoutMs: 3_000 },
    async t => {
      const header = proxyHeader('192.0.2.1')
      const balanced = await accepted(t)
      balanced.write(header.subarray(0, -1))
      const silent = await accepted(t)
      balanced.write(header.subarray(-1))
      // Two deadlines, one behind the other, would have it end after one that came before its header was whole.
      const order: string[] = []
      await Promise.all([
        ended(balanced).then(() => order.push('balanced')),
        ended(silent).then(() => order.push('silent')),
      ])
      assert.deepEqual(order, ['balanced', 'silent'])
      await t.line(line => line.reason === 'handshake_timeout' && line['address'] === '192.0.2.1')
    },
  )

  on('a handshake that comes octet by octet ends at its deadline', { handshakeTimeoutMs: 1_000 }, async t => {
    const raw = connectTcp({ host: '127.0.0.1', port: t.broker.port })
    raw.on('error', () => {})
    await once(raw, 'connect')
    const began = performance.now()
    raw.write(Buffer.from('160301200001001ffc0303', 'hex')) // a ClientHello that says it is 8 KiB long
    const busy = setInterval(() => raw.write('x'), OCTET_MS)
    await ended(raw)
    clearInterval(busy)
    // Had each octet its own deadline, all of them would take a quarter of an hour.
    assert.ok(performance.now() - began < 20_000)
    await t.line(line => line.reason === 'handshake_timeout')
  })
}

test('gates share what one certificate may hold open without CONNECT', async () => {
  const t = await startTestBroker({
    settings: { gates: 2, connectTimeoutMs: 120_000, certificatePendingMax: 4 },
  })
  try {
    const identity = await t.roll.enroll('d1')
    const sockets: TLSSocket[] = []
    for (let index = 0; index < 16; index += 1)
      sockets.push(await reached(t, identity, stages['waits for the first octet']!))
    for (const socket of sockets) socket.resume()
    await until(() => sockets.filter(socket => !socket.closed).length <= 4)
  } finally {
    await t.close()
  }
})
