// What is published below `$SYS/broker` against what clients sent and got, byte by byte, with the gate inside and behind one.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { BrokerSettings } from '../../../broker/settings/validation.ts'
import { connectPacket, openTls, startTestBroker, type TestBroker } from '../../harness/broker.ts'
import {
  packetsOf,
  publishPacket,
  publishQos1,
  type RawPacket,
  rawSession,
  subscribePacket,
} from '../../harness/raw-client.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const PINGREQ = Buffer.from([0xc0, 0])
const DISCONNECT = Buffer.from([0xe0, 0])
const PUBLISH = 3

for (const gates of [0, 1]) {
  withBroker(`${gates} gates: counts all that came and all that went`, { gates }, async t => {
    const device = await client(t, 'd1')
    device.send(
      subscribePacket(1, ['devices/d1/#']),
      ...[1, 2, 3].map(id => publishQos1('devices/d1/t', id, 'ten octets')),
      PINGREQ,
    )
    await until(() => device.packets.length === 9) // CONNACK, SUBACK, three PUBLISH, three PUBACK, PINGRESP

    const reader = await client(t, 'ops')
    reader.send(subscribePacket(1, ['$SYS/broker/#']))
    const newest = () => new Map(messagesIn(reader.packets).map(({ topic, payload }) => [topic, payload]))
    const expected = {
      'messages/received': 8,
      'bytes/received': device.sentBytes() + reader.sentBytes(),
      'publish/messages/received': 3,
      'publish/bytes/received': 30,
      'publish/messages/dropped': 0,
      'clients/connected': 2,
      'clients/maximum': 2,
      'clients/total': 2,
      'clients/disconnected': 0,
      'subscriptions/count': 2,
    }
    const shown = () =>
      Object.fromEntries(
        Object.keys(expected).map(name => [name, Number(newest().get(`$SYS/broker/${name}`))]),
      )
    // What differs after all is told by name.
    await until(() => isDeepStrictEqual(shown(), expected)).catch(() => assert.deepEqual(shown(), expected))
    assert.match(newest().get('$SYS/broker/version') ?? '', /^rollcall version \d/)
    await until(() => Number(newest().get('$SYS/broker/load/bytes/received/1min')) > 0)
    reader.send(DISCONNECT)
  })
}

for (const gates of [0, 1]) {
  withBroker(`${gates} gates: counts each packet that was sent, and its bytes`, { gates }, async t => {
    const reader = await client(t, 'ops')
    reader.send(subscribePacket(1, ['$SYS/broker/messages/sent', '$SYS/broker/bytes/sent']))
    // What is being sent when the figures are taken is on its way by the time of the next ones.
    const live = () => messagesIn(reader.packets).filter(({ retained }) => !retained)
    await until(() => live().length >= 8)
    // The last two that came together; one more may be here already.
    const bytes = live().findLast(({ topic }) => topic === '$SYS/broker/bytes/sent') as Message
    const packets = live().findLast(({ index }) => index < bytes.index) as Message
    const before = reader.packets.slice(0, packets.index)
    assert.equal(packets.topic, '$SYS/broker/messages/sent')
    assert.equal(packets.payload, String(before.length))
    assert.equal(bytes.payload, String(sum(before)))
  })
}

withBroker('knows disconnected clients, what waits for them, and what is retained', {}, async t => {
  const away = await client(t, 'd1', { clean: false })
  away.send(subscribePacket(1, ['devices/d1/#'], 1))
  await until(() => away.packets.length === 2)
  away.send(DISCONNECT)
  const backend = await client(t, 'b1', {}, ['backend'])
  backend.send(publishQos1('devices/d1/t', 1, 'waits'), publishPacket('devices/d1/kept', 'retained', true))
  const reader = await client(t, 'ops')
  reader.send(subscribePacket(1, ['$SYS/broker/#']))
  const shows = (name: string, value: string) =>
    messagesIn(reader.packets).some(
      ({ topic, payload }) => topic === `$SYS/broker/${name}` && payload === value,
    )
  await until(() => shows('clients/disconnected', '1') && shows('clients/total', '3'))
  await until(() => shows('messages/stored', '2') && shows('store/messages/count', '2'))
  await until(() => shows('subscriptions/count', '2'))
  const figures = () => new Set(messagesIn(reader.packets).map(({ topic }) => topic)).size
  await until(() => shows('retained messages/count', String(figures() + 1)))
})

test('nothing is published where the interval is 0', async () => {
  const t = await startTestBroker({ settings: { sysIntervalMs: 0 } })
  try {
    const reader = await client(t, 'ops')
    reader.send(subscribePacket(1, ['$SYS/broker/#']), PINGREQ)
    await until(() => reader.packets.length === 3) // CONNACK, SUBACK, PINGRESP
  } finally {
    await t.close()
  }
})

withBroker('the figures are closed to a device, and outlive no broker', {}, async t => {
  const device = await client(t, 'd1')
  device.send(subscribePacket(1, ['$SYS/broker/#']))
  await until(() => device.packets.length === 2)
  assert.equal(device.packets[1]!.bytes.at(-1), 0x80)
  const publisher = await rawSession(t, await t.roll.enroll('b1', { groups: ['backend'] }), {
    clientId: 'b1',
  })
  publisher.write(publishPacket('$SYS/broker/uptime', 'mine', true))
  await t.line(line => line.msg === 'cut' && line.reason === 'publish_denied')

  const data = { roll: t.roll, settings: { sysIntervalMs: 0 } }
  await t.broker.close()
  const next = await startTestBroker(data)
  const reader = await client(next, 'ops')
  reader.send(subscribePacket(1, ['$SYS/broker/#']), PINGREQ)
  await until(() => reader.packets.length === 3)
  await next.close()
})

function withBroker(name: string, settings: Partial<BrokerSettings>, work: (t: TestBroker) => Promise<void>) {
  test(name, async () => {
    const t = await startTestBroker({ settings: { sysIntervalMs: 100, ...settings } })
    try {
      await work(t)
    } finally {
      await t.close()
    }
  })
}

/** A connected device that counts what it sends; `ops` may read the broker's figures. */
async function client(t: TestBroker, id: string, connect: { clean?: boolean } = {}, groups: string[] = []) {
  const identity = await t.roll.enroll(id, { groups })
  if (id === 'ops') {
    const statements = [{ effect: 'allow', actions: ['subscribe'], topics: ['$SYS/broker/#'] }]
    await t.roll.writer.putPolicy('figures', { name: 'figures', statements }, tester)
    await t.roll.writer.attachPolicy('figures', 'device', id, tester)
  }
  const socket = await openTls(t, { identity })
  const packets = packetsOf(socket)
  let sentBytes = 0
  const send = (...all: Buffer[]) => {
    for (const packet of all) {
      sentBytes += packet.length
      socket.write(packet)
    }
  }
  send(connectPacket({ clientId: id, ...connect }))
  await until(() => packets.length === 1)
  return { packets, send, sentBytes: () => sentBytes }
}

type Message = { topic: string; payload: string; retained: boolean; index: number }

/** PUBLISH of QoS 0 among the packets, with the place of each. */
function messagesIn(packets: readonly RawPacket[]): Message[] {
  return packets.flatMap(({ kind, bytes }, index) => {
    if (kind !== PUBLISH || (bytes[0]! & 6) !== 0) return []
    const at = bytes[1]! & 0x80 ? 3 : 2
    const end = at + 2 + bytes.readUInt16BE(at)
    const retained = (bytes[0]! & 1) === 1
    return {
      topic: bytes.toString('utf8', at + 2, end),
      payload: bytes.toString('utf8', end),
      retained,
      index,
    }
  })
}

function sum(packets: readonly RawPacket[]): number {
  return packets.reduce((bytes, packet) => bytes + packet.bytes.length, 0)
}
