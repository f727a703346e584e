// WebSocket, ALPN, a second port, a load balancer in front: other forms of arriving, and the same admission for all.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { afterEach, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import mqtt from 'mqtt'
import type { Identity } from '../../harness/authority.ts'
import {
  attempt,
  connectPacket,
  firstBytes,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../harness/broker.ts'
import { openInbox } from '../../harness/inbox.ts'
import { proxyHeader } from '../../harness/proxy-header.ts'
import { ended } from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'

let t: TestBroker
afterEach(() => t.close())

/** A port that the kernel never picks for port 0: it is still free when the broker takes it. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 10_000); ; port += 1) {
    const server = createServer().listen(port, '127.0.0.1')
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}

function webSocketClient(id: string, identity: Identity) {
  const wsOptions = {
    cert: identity.certificate,
    key: identity.key,
    ca: t.roll.root.certificate,
    servername: 'localhost',
  }
  return mqtt.connectAsync(`wss://127.0.0.1:${t.broker.port}/mqtt`, {
    clientId: id,
    reconnectPeriod: 0,
    wsOptions,
  })
}

/** Sends these bytes as an admitted or refused peer and gives the first line of the answer. */
async function http(identity: Identity, request: string): Promise<string> {
  const socket = await openTls(t, { identity })
  socket.write(request)
  const answer = await firstBytes(socket)
  socket.destroy()
  return String(answer).split('\r\n')[0] ?? ''
}

const upgrade = (path: string, protocol: string) =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`

test('a device speaks MQTT over WebSocket, and is cut like any other', async () => {
  t = await startTestBroker()
  const identity = await t.roll.enroll('d1')
  const client = await webSocketClient('d1', identity)
  client.on('error', () => {})
  const inbox = openInbox(client)
  await client.subscribeAsync('devices/d1/#', { qos: 1 })
  const long = 'x'.repeat(150_000)
  await client.publishAsync('devices/d1/x', long, { qos: 1 })
  await inbox.message(long)
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
  await t.roll.writer.revokeCertificate(identity.fingerprint, 'unspecified', tester)
  await closed
  await t.line(line => line.msg === 'cut' && line.reason === 'certificate_revoked')
})

test('a WebSocket needs its path, its subprotocol and a device that may enter', async () => {
  t = await startTestBroker()
  const identity = await t.roll.enroll('d1')
  assert.match(await http(identity, upgrade('/mqtt', 'mqtt')), /^HTTP\/1.1 101 /)
  assert.match(await http(identity, upgrade('/mqtt', 'chat, mqtt')), /^HTTP\/1.1 101 /)
  assert.match(await http(identity, upgrade('/', 'mqtt')), /^HTTP\/1.1 404 /)
  assert.match(await http(identity, upgrade('/mqtt/../x', 'mqtt')), /^HTTP\/1.1 404 /)
  assert.match(await http(identity, upgrade('/mqtt', 'chat')), /^HTTP\/1.1 400 /)
  assert.match(await http(identity, 'GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1.1 426 /)
  assert.match(
    await http(identity, `GET /mqtt HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1.1 431 /,
  )
  await t.roll.writer.setDeviceState('d1', 'suspended', tester)
  assert.match(await http(identity, upgrade('/', 'mqtt')), /^HTTP\/1.1 404 /)
  await t.line(line => line.reason === 'device_suspended')
})

test('a stranger gets no word of HTTP, and GET alone opens nothing', async () => {
  t = await startTestBroker({ settings: { connectTimeoutMs: 1_500 } })
  const identity = await t.roll.enroll('d1')
  assert.equal(await attempt(t, { bytes: Buffer.from(upgrade('/mqtt', 'mqtt')) }), 'cut')
  await t.line(line => line.reason === 'certificate_missing')
  assert.equal(await http(identity, 'GXT /mqtt'), 'null')
  await t.line(line => line.reason === 'connect_expected')
  const slow = await openTls(t, { identity })
  slow.write('GET /mqtt HTTP/1.1\r\n')
  await ended(slow)
})

test('a packet that declares too much ends a WebSocket at its header', async () => {
  t = await startTestBroker({ settings: { packetBytesMax: 100_000 } })
  const client = await webSocketClient('d1', await t.roll.enroll('d1'))
  client.on('error', () => {})
  const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
  await client.publishAsync('devices/d1/x', 'y'.repeat(99_000), { qos: 1 })
  client.publish('devices/d1/x', 'y'.repeat(101_000))
  await closed
})

for (const [offered, chosen] of [
  [['mqtt'], 'mqtt'],
  [['x-amzn-mqtt-ca'], 'x-amzn-mqtt-ca'],
  [['h2', 'http/1.1'], 'http/1.1'],
  [[], false],
] as const) {
  test(`a device that offers ${offered.join(' and ') || 'no protocol'} by ALPN gets ${chosen || 'in all the same'}`, async () => {
    t = await startTestBroker()
    const identity = await t.roll.enroll('d1')
    const tls = offered.length === 0 ? {} : { ALPNProtocols: [...offered] }
    const socket = await openTls(t, { identity, tls })
    assert.equal(socket.alpnProtocol, chosen)
    socket.write(connectPacket({ clientId: 'd1' }))
    assert.equal((await firstBytes(socket))?.[3], 0)
    socket.destroy()
  })
}

for (const gates of [0, 2]) {
  test(`${gates} gates: a second port is the same broker`, async () => {
    const secondPort = await freePort()
    t = await startTestBroker({ settings: { gates, secondPort } })
    const identity = await t.roll.enroll('d1')
    const elsewhere = { ...t, broker: { ...t.broker, port: secondPort } }
    assert.equal(await attempt(elsewhere, { identity, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal(await attempt(elsewhere, { connect: { clientId: 'd1' } }), 'cut')
    assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'connack 0')
  })
}

/** TLS and CONNECT as a balancer hands them on, its header before; in one piece, or octet by octet. */
async function throughBalancer(identity: Identity, header: Buffer, inPieces = false): Promise<string> {
  const raw: Socket = connectTcp({ host: '127.0.0.1', port: t.broker.port })
  raw.on('error', () => {})
  raw.setNoDelay(true)
  await once(raw, 'connect')
  for (const piece of inPieces ? header.toString('hex').match(/../g)! : [header.toString('hex')]) {
    raw.write(Buffer.from(piece, 'hex'))
    if (inPieces) await new Promise(resolve => setImmediate(resolve))
  }
  const { certificate: cert, key } = identity
  const socket = connectTls({ socket: raw, cert, key, ca: t.roll.root.certificate, servername: 'localhost' })
  socket.on('error', () => {})
  socket.write(connectPacket({ clientId: 'd1' }))
  const answer = await firstBytes(socket)
  socket.destroy()
  return answer === null ? 'cut' : `connack ${answer[3]}`
}

test('behind a load balancer, limits and records know the address that its header names', async () => {
  t = await startTestBroker({
    settings: { proxyFrom: '127.0.0.0/8', addressBurst: 2, addressRatePerSecond: 1 },
  })
  const identity = await t.roll.enroll('d1')
  for (const from of ['192.0.2.1', '2001:db8::7', null]) {
    assert.equal(await throughBalancer(identity, proxyHeader(from)), 'connack 0')
    const address = from ?? '127.0.0.1'
    await t.line(line => line.msg === 'connected' && line['address'] === address)
  }
  assert.equal(await throughBalancer(identity, proxyHeader('192.0.2.1'), true), 'connack 0')
  // At once, and more than its rate brings back meanwhile on any machine.
  const many = Array.from({ length: 10 }, () => throughBalancer(identity, proxyHeader('192.0.2.1')))
  assert.ok((await Promise.all(many)).includes('cut'))
  await t.line(line => line.reason === 'address_rate_limited' && line['address'] === '192.0.2.1')
  assert.equal(await throughBalancer(identity, proxyHeader('192.0.2.9')), 'connack 0')
})

test('the addresses of one IPv6 /64 share a rate, and the log shows which one was refused', async () => {
  t = await startTestBroker({
    settings: { proxyFrom: '127.0.0.1', addressBurst: 2, addressRatePerSecond: 1 },
  })
  const identity = await t.roll.enroll('d1')
  const of64 = Array.from({ length: 10 }, (_, host) => `2001:db8::${host + 1}`)
  const seen = await Promise.all(of64.map(from => throughBalancer(identity, proxyHeader(from))))
  assert.ok(seen.includes('cut'))
  await t.line(line => line.reason === 'address_rate_limited' && of64.includes(String(line['address'])))
  assert.equal(await throughBalancer(identity, proxyHeader('2001:db8:0:1::1')), 'connack 0')
})

test('a balancer without its header is refused, and a header from anybody else is noise', async () => {
  t = await startTestBroker({ settings: { proxyFrom: '127.0.0.1', handshakeTimeoutMs: 1_500 } })
  const identity = await t.roll.enroll('d1')
  assert.equal(await attempt(t, { identity, connect: { clientId: 'd1' } }), 'cut')
  await t.line(line => line.reason === 'proxy_header_invalid')
  const silent = connectTcp({ host: '127.0.0.1', port: t.broker.port })
  silent.on('error', () => {})
  silent.resume()
  await new Promise(resolve => silent.once('close', resolve))
  await t.close()
  t = await startTestBroker({ settings: { proxyFrom: '192.0.2.0/24' } })
  assert.equal(await throughBalancer(await t.roll.enroll('d1'), proxyHeader('192.0.2.1')), 'cut')
  await t.line(line => line.reason === 'not_tls')
})
