// MQTT over WebSocket as the standards have it: binary frames alone, no pages that nobody listed, and the same answers as over TLS.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, validateSettings } from '../../../../broker/settings/validation.ts'
import { createOriginPolicy } from '../../../../broker/settings/web-socket-origins.ts'
import { connectPacket, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { ended, subscribePacket } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'
import { opcodes, rawWebSocket } from '../../../harness/web-socket.ts'

/** RFC 6455 §7.4.1: data of a kind that cannot be accepted. */
const UNSUPPORTED_DATA = 1003

for (const gates of [0, 1]) {
  const on = (name: string, work: (t: TestBroker) => Promise<void>, settings: Record<string, string> = {}) =>
    test(`${gates} gates: ${name}`, async () => {
      const t = await startTestBroker({ settings: { gates, ...settings } })
      try {
        await work(t)
      } finally {
        await t.close()
      }
    })

  on('CONNECT in a text frame ends the connection [MQTT-6.0.0-1]', async t => {
    const client = await rawWebSocket(t, await t.roll.enroll('d1'))
    client.send(opcodes.text, connectPacket({ clientId: 'd1' }))
    const close = await client.frame(0)
    assert.deepEqual([close?.opcode, close?.payload.readUInt16BE(0)], [opcodes.close, UNSUPPORTED_DATA])
    await ended(client.socket)
    await t.line(line => line.reason === 'packet_malformed' && line.deviceId === 'd1')
    assert.equal(
      t.lines.some(line => line.msg === 'connected'),
      false,
    )
  })

  on('a text frame ends a live session, and nothing behind it is acted on', async t => {
    const client = await rawWebSocket(t, await t.roll.enroll('d1'))
    client.send(opcodes.binary, connectPacket({ clientId: 'd1' }))
    assert.deepEqual((await client.frame(0))?.payload, Buffer.from([0x20, 2, 0, 0]))
    client.send(opcodes.text, Buffer.from('text'))
    client.send(opcodes.binary, subscribePacket(1, ['devices/d1/#']))
    await ended(client.socket)
    await t.line(line => line.msg === 'disconnected' && line['why'] === 'packet_malformed')
    assert.deepEqual(
      client.frames.slice(1).map(({ opcode }) => opcode),
      [opcodes.close],
    )
    assert.match(await t.broker.metrics(), /rollcall_refusals_total\{reason="packet_malformed"\} 1/)
  })

  for (const [what, opcode] of Object.entries({
    Ping: opcodes.ping,
    Pong: opcodes.pong,
    empty: opcodes.binary,
  }))
    on(`${what} frames without end end the connection, a few do not`, async t => {
      const client = await rawWebSocket(t, await t.roll.enroll('d1'))
      client.send(opcodes.binary, connectPacket({ clientId: 'd1' }))
      assert.deepEqual((await client.frame(0))?.payload, Buffer.from([0x20, 2, 0, 0]))
      for (let sent = 0; sent < 50; sent += 1) client.send(opcode, Buffer.alloc(0))
      client.send(opcodes.binary, subscribePacket(1, ['devices/d1/#']))
      await until(() => client.frames.some(({ payload }) => payload[0] === 0x90))
      for (let sent = 0; sent < 200; sent += 1) client.send(opcode, Buffer.alloc(0))
      await ended(client.socket)
      await t.line(line => line.msg === 'disconnected' && line['why'] === 'packet_malformed')
    })

  on('a listed device that is refused is told by CONNACK, as over TLS', async t => {
    const identity = await t.roll.enroll('d1')
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
    const client = await rawWebSocket(t, identity)
    assert.equal(client.status, 101)
    client.send(opcodes.binary, connectPacket({ clientId: 'd1' }))
    assert.deepEqual((await client.frame(0))?.payload, Buffer.from([0x20, 2, 0, 5]))
    await ended(client.socket)
    await t.line(line => line.reason === 'device_suspended' && line.deviceId === 'd1')
  })

  on('no page of a browser opens a WebSocket, unless its origin is listed', async t => {
    const identity = await t.roll.enroll('d1')
    const own = `https://localhost:${t.broker.port}` // as Paho says of itself
    for (const [headers, status] of [
      [{ origin: 'https://evil.example' }, 403],
      [{ origin: 'null' }, 403],
      [{ origin: 'https://console.example:8443' }, 403],
      [{ origin: own }, 101],
      [{}, 101],
    ] as const) {
      const client = await rawWebSocket(t, identity, headers)
      assert.equal(client.status, status, JSON.stringify(headers))
      client.socket.destroy()
    }
    await t.line(line => line.reason === 'websocket_refused' && line.deviceId === 'd1')
  })

  on(
    'a page whose origin is listed opens one',
    async t => {
      const identity = await t.roll.enroll('d1')
      for (const [origin, status] of [
        ['https://console.example:8443', 101],
        ['https://evil.example', 403],
        ['http://console.example:8443', 403],
      ] as const) {
        const client = await rawWebSocket(t, identity, { origin })
        assert.equal(client.status, status, origin)
        client.socket.destroy()
      }
    },
    { webSocketOrigins: 'https://console.example:8443, https://other.example' },
  )
}

test('an origin is compared by scheme, host and port, and by nothing that looks like it', () => {
  const may = createOriginPolicy('https://a.example,https://b.example:8443')
  for (const [origin, host, expected] of [
    [undefined, undefined, true],
    ['https://a.example', 'broker', true],
    ['https://a.example:443', 'broker', true],
    ['https://A.EXAMPLE', 'broker', true],
    ['http://a.example', 'broker', false],
    ['https://a.example:8443', 'broker', false],
    ['https://a.example.evil', 'broker', false],
    ['https://evil/https://a.example', 'broker', false],
    ['null', 'broker', false],
    ['', '', false],
    ['https://broker:8883', 'broker:8883', true],
    ['https://broker', 'broker:443', true],
    ['http://broker:8883', 'broker:8883', false],
    ['https://broker:8884', 'broker:8883', false],
    ['file://', 'broker', false],
  ] as const)
    assert.equal(may(origin, host), expected, `${origin} at ${host}`)
})

test('a list of origins that holds what is none keeps the broker from starting', () => {
  for (const webSocketOrigins of ['*', 'console.example', 'https://a.example/path', 'https://a.example,x'])
    assert.throws(() => validateSettings({ webSocketOrigins }), ConfigError)
  assert.equal(validateSettings({}).webSocketOrigins, '')
})
