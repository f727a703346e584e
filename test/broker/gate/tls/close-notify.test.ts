// Every connection that the broker ends is told so by TLS (RFC 8446 §6.1, RFC 5246 §7.2.1), but for those that are cut: a client that
// is not told takes it for a truncation, and mosquitto's never returns. Gate inside and as a process, over TLS and WebSocket.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
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

type Device = Identity & { id: string; fingerprint: string }
type Ending = (client: Speaking, t: TestBroker, device: Device) => unknown

const accepted: Ending = async (client, _t, { id }) => {
  client.send(connectPacket({ clientId: id, keepalive: 1 }))
  await until(() => client.answers() > 0)
}

const inOrder: Record<string, Ending> = {
  'a refused client ID': client => client.send(connectPacket({ clientId: 'other' })),
  'a protocol level that is none': (client, _t, { id }) =>
    client.send(connectPacket({ clientId: id, level: 9 })),
  'a first packet that is no CONNECT': client => client.send(Buffer.from([0xc0, 0])),
  'a CONNECT that declares too much': client => client.send(Buffer.from('10ffffff7f', 'hex')),
  async 'a second CONNECT'(client, t, device) {
    await accepted(client, t, device)
    client.send(connectPacket({ clientId: device.id }))
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
  async 'a takeover'(client, t, device) {
    await accepted(client, t, device)
    const next = await mqttClient(t, device.id, device)
    await ended(client.socket)
    await next.endAsync()
  },
  async DISCONNECT(client, ...more) {
    await accepted(client, ...more)
    client.send(Buffer.from([0xe0, 0]))
  },
}

const cut: Record<string, Ending> = {
  async 'a revocation'(client, t, device) {
    await accepted(client, t, device)
    await t.roll.writer.revokeCertificate(device.fingerprint, 'unspecified', tester)
  },
  async 'a suspension'(client, t, device) {
    await accepted(client, t, device)
    await t.roll.writer.setDeviceState(device.id, 'suspended', tester)
  },
}

for (const gates of [0, 1])
  describe(`${gates} gates:`, () => {
    let t: TestBroker
    let devices = 0
    before(async () => {
      t = await startTestBroker({ settings: { gates, connectTimeoutMs: 120_000 } })
    })
    after(() => t.close())

    // Some wait for a deadline of the broker: all of them at once.
    for (const [transport, open] of Object.entries(transports))
      describe(transport, { concurrency: true }, () => {
        const on = (name: string, end: Ending, expected: boolean, suspended = false) =>
          test(name, async () => {
            devices += 1
            const id = `d${devices}`
            const link = await recordedLink(t)
            try {
              const device = { id, ...(await t.roll.enroll(id)) }
              if (suspended) await t.roll.writer.setDeviceState(id, 'suspended', tester)
              const client = await open(link, device)
              await end(client, t, device)
              await ended(client.socket)
              assert.equal(link.closedInOrder(), expected)
            } finally {
              link.close()
            }
          })

        for (const [name, end] of Object.entries(inOrder)) on(`${name} ends with close_notify`, end, true)
        on(
          'a device that is listed and refused is told, and then by close_notify',
          async (client, _t, { id }) => {
            client.send(connectPacket({ clientId: id }))
            await until(() => client.answers() > 0)
          },
          true,
          true,
        )
        for (const [name, end] of Object.entries(cut)) on(`${name} cuts without a word`, end, false)
      })

    /** Over each transport at once. */
    async function endTogether(broker: TestBroker, begin: Ending, end = async () => {}): Promise<void> {
      const opened = Object.values(transports).map(async (open, index) => {
        const id = `of-transport-${index}`
        const link = await recordedLink(broker)
        const device = { id, ...(await broker.roll.enroll(id)) }
        const client = await open(link, device)
        await begin(client, broker, device)
        return { link, client }
      })
      const all = await Promise.all(opened)
      await end()
      for (const { link, client } of all) {
        await ended(client.socket)
        assert.equal(link.closedInOrder(), true)
        link.close()
      }
    }

    test('silence before CONNECT ends with close_notify', async () => {
      const strict = await startTestBroker({ settings: { gates, connectTimeoutMs: 1_000 } })
      try {
        await endTogether(strict, () => {})
      } finally {
        await strict.close()
      }
    })

    test('a broker that stops ends with close_notify', () => endTogether(t, accepted, () => t.broker.close()))
  })
