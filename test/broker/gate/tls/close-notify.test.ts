// Every connection that the broker ends is told so by TLS (RFC 8446 §6.1, RFC 5246 §7.2.1), but for those that are cut: a client that
// is not told takes it for a truncation, and mosquitto's never returns. Gate inside and as a process, over TLS and WebSocket.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { Identity } from '../../../harness/authority.ts'
import {
  connectPacket,
  type Listening,
  mqttClient,
  openTls,
  startTestBroker,
  type TestBroker,
} from '../../../harness/broker.ts'
import { ended, packetsOf, publishPacket } from '../../../harness/raw-client.ts'
import { recordedLink } from '../../../harness/recorded-link.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'
import { opcodes, rawWebSocket } from '../../../harness/web-socket.ts'

/** A connection of either kind: sends a packet, waits for an answer. */
type Speaking = { socket: TLSSocket; send(bytes: Buffer): void; answers(): number }
type Transport = (link: Listening, identity: Identity) => Promise<Speaking>

const transports: Record<string, Transport> = {
  async TLS(link, identity) {
    const socket = await openTls(link, { identity, tls: { maxVersion: 'TLSv1.2' } })
    const packets = packetsOf(socket)
    return { socket, send: bytes => void socket.write(bytes), answers: () => packets.length }
  },
  async WebSocket(link, identity) {
    const client = await rawWebSocket(link, identity, {}, { maxVersion: 'TLSv1.2' })
    assert.equal(client.status, 101)
    return {
      socket: client.socket,
      send: bytes => client.send(opcodes.binary, bytes),
      answers: () => client.frames.length,
    }
  },
}

type Ending = (client: Speaking, t: TestBroker, identity: Identity & { fingerprint: string }) => unknown

const accepted: Ending = async client => {
  client.send(connectPacket({ clientId: 'd1', keepalive: 1 }))
  await until(() => client.answers() > 0)
}

const inOrder: Record<string, Ending> = {
  'a refused client ID': client => client.send(connectPacket({ clientId: 'other' })),
  'a protocol level that is none': client => client.send(connectPacket({ clientId: 'd1', level: 9 })),
  'a first packet that is no CONNECT': client => client.send(Buffer.from([0xc0, 0])),
  'a CONNECT that declares too much': client => client.send(Buffer.from('10ffffff7f', 'hex')),
  'silence before CONNECT': () => {},
  async 'a second CONNECT'(client, ...more) {
    await accepted(client, ...more)
    client.send(connectPacket({ clientId: 'd1' }))
  },
  'silence for longer than its keep-alive': accepted,
  async 'a publish that is denied'(client, ...more) {
    await accepted(client, ...more)
    client.send(publishPacket('devices/other/x', 'x'))
  },
  async 'a packet that declares too much'(client, ...more) {
    await accepted(client, ...more)
    client.send(Buffer.from('30ffffff7f', 'hex'))
  },
  async 'a takeover'(client, t, identity) {
    await accepted(client, t, identity)
    const next = await mqttClient(t, 'd1', identity)
    await ended(client.socket)
    await next.endAsync()
  },
  async DISCONNECT(client, ...more) {
    await accepted(client, ...more)
    client.send(Buffer.from([0xe0, 0]))
  },
  async 'a broker that stops'(client, t, identity) {
    await accepted(client, t, identity)
    await t.broker.close()
  },
}

const cut: Record<string, Ending> = {
  async 'a revocation'(client, t, identity) {
    await accepted(client, t, identity)
    await t.roll.writer.revokeCertificate(identity.fingerprint, 'unspecified', tester)
  },
  async 'a suspension'(client, t, identity) {
    await accepted(client, t, identity)
    await t.roll.writer.setDeviceState('d1', 'suspended', tester)
  },
}

for (const gates of [0, 1]) {
  for (const [transport, open] of Object.entries(transports)) {
    const on = (
      name: string,
      end: Ending,
      expected: boolean,
      before: (t: TestBroker) => unknown = () => {},
    ) =>
      test(`${gates} gates, ${transport}: ${name}`, async () => {
        const t = await startTestBroker({ settings: { gates, connectTimeoutMs: 1_500 } })
        const link = await recordedLink(t)
        try {
          const identity = await t.roll.enroll('d1')
          await before(t)
          const client = await open(link, identity)
          await end(client, t, identity)
          await ended(client.socket)
          assert.equal(link.closedInOrder(), expected)
        } finally {
          link.close()
          await t.close()
        }
      })

    for (const [name, end] of Object.entries(inOrder)) on(`${name} ends with close_notify`, end, true)
    on(
      'a device that is listed and refused is told, and then by close_notify',
      async client => {
        client.send(connectPacket({ clientId: 'd1' }))
        await until(() => client.answers() > 0)
      },
      true,
      t => t.roll.writer.setDeviceState('d1', 'suspended', tester),
    )
    for (const [name, end] of Object.entries(cut)) on(`${name} cuts without a word`, end, false)
  }
}
