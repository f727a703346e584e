// Backends that share a subscription: each message reaches one of them, while others come, go, are cut or are away.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { gone, type Inbox, openInbox } from '../../../harness/inbox.ts'
import { packetsOf, rawSession, subscribePacket } from '../../../harness/raw-client.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

type Worker = { id: string; client: MqttClient; inbox: Inbox; fingerprint: string }

const SHARED = '$share/workers/devices/+/up'

describe('a shared subscription', () => {
  let t: TestBroker
  let publisher: MqttClient

  beforeEach(async () => {
    t = await startTestBroker()
    publisher = await mqttClient(t, 'd1', await t.roll.enroll('d1'))
  })
  afterEach(async () => {
    await publisher.endAsync(true)
    await t.close()
  })

  async function worker(
    id: string,
    { clean = true, filter = SHARED, qos = 1 as 0 | 1 | 2 } = {},
  ): Promise<Worker> {
    const identity = await t.roll.enroll(id, { groups: ['backend'] })
    const client = await mqttClient(t, id, identity, { clean })
    const inbox = openInbox(client)
    await client.subscribeAsync(filter, { qos })
    return { id, client, inbox, fingerprint: identity.fingerprint }
  }

  async function publish(from: number, to: number, qos: 0 | 1 | 2 = 1): Promise<void> {
    for (let number = from; number <= to; number += 1)
      await publisher.publishAsync('devices/d1/up', String(number), { qos })
  }

  const numbers = (...inboxes: Inbox[]) =>
    inboxes.flatMap(inbox => inbox.all.map(({ payload }) => Number(payload))).sort((a, b) => a - b)
  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)
  async function acted(epoch: Promise<number>): Promise<void> {
    const awaited = await epoch
    await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === awaited)
  }
  const end = (...workers: Worker[]) => Promise.all(workers.map(({ client }) => client.endAsync(true)))

  for (const qos of [0, 1, 2] as const) {
    test(`gives each message to one member, in turn, with QoS ${qos}`, async () => {
      const workers = [await worker('b1', { qos }), await worker('b2', { qos }), await worker('b3', { qos })]
      const inboxes = workers.map(({ inbox }) => inbox)
      await publish(1, 30, qos)
      await until(() => numbers(...inboxes).length >= 30)
      assert.deepEqual(numbers(...inboxes), upTo(30))
      assert.deepEqual(
        inboxes.map(inbox => inbox.all.length),
        [10, 10, 10],
      )
      assert.ok(inboxes.every(inbox => inbox.all.every(message => message.qos === qos && !message.retain)))
      await end(...workers)
    })
  }

  test('is one of each group, and beside it a subscriber of the filter itself gets all', async () => {
    const workers = [await worker('b1'), await worker('b2')]
    const other = await worker('b3', { filter: '$share/others/devices/d1/#', qos: 0 })
    const all = await worker('b4', { filter: 'devices/#' })
    await publish(1, 10)
    await until(() => other.inbox.all.length === 10 && all.inbox.all.length === 10)
    await until(() => numbers(...workers.map(({ inbox }) => inbox)).length === 10)
    assert.ok(other.inbox.all.every(({ qos }) => qos === 0))
    await end(...workers, other, all)
  })

  test('passes over a member that left, unsubscribed, was cut or may not receive', async () => {
    const stays = await worker('b1')
    const [leaves, unsubscribes, cut, denied] = [
      await worker('b2'),
      await worker('b3'),
      await worker('b4'),
      await worker('b5'),
    ]
    await leaves.client.endAsync()
    await unsubscribes.client.unsubscribeAsync(SHARED)
    await acted(t.roll.writer.revokeCertificate(cut.fingerprint, 'keyCompromise', tester))
    await gone(cut.client)
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/+/up'] }
    await t.roll.writer.putPolicy('deaf', { name: 'deaf', statements: [deny] }, tester)
    await acted(t.roll.writer.attachPolicy('deaf', 'device', 'b5', tester))
    await publish(1, 12)
    await until(() => stays.inbox.all.length === 12)
    assert.deepEqual(numbers(unsubscribes.inbox, cut.inbox, denied.inbox, leaves.inbox), [])
    await end(stays, unsubscribes, denied)
  })

  test('loses nothing to a member that is cut while messages flow, where its session is kept', async () => {
    const [stays, suspended] = [await worker('b1'), await worker('b2', { clean: false })]
    const flow = publish(1, 200)
    await until(() => suspended.inbox.all.length > 5)
    await acted(t.roll.writer.setDeviceState('b2', 'suspended', tester))
    await flow
    await acted(t.roll.writer.setDeviceState('b2', 'active', tester))
    const identity = await t.roll.issuing.issue({ name: 'b2' })
    await t.roll.list('b2', identity)
    const back = await returningClient(t, 'b2', identity)
    const all = () => new Set(numbers(stays.inbox, suspended.inbox, back.inbox))
    await until(() => all().size === 200)
    await end(stays)
    await back.client.endAsync(true)
  })

  test('waits with those that are away where nobody is here, and is shared again when they are', async () => {
    const away = await worker('b1', { clean: false })
    const other = await worker('b2', { clean: false })
    await away.client.endAsync()
    await other.client.endAsync()
    for (const id of ['b1', 'b2']) await t.line(line => line.msg === 'disconnected' && line.deviceId === id)
    await publish(1, 10)
    const renew = async (id: string) => {
      const identity = await t.roll.issuing.issue({ name: id })
      await t.roll.list(id, identity)
      return returningClient(t, id, identity)
    }
    const back = [await renew('b1'), await renew('b2')]
    await until(() => numbers(...back.map(({ inbox }) => inbox)).length === 10)
    assert.deepEqual(
      back.map(({ inbox, sessionPresent }) => [inbox.all.length, sessionPresent]),
      [
        [5, true],
        [5, true],
      ],
    )
    await publish(11, 20)
    await until(() => numbers(...back.map(({ inbox }) => inbox)).length === 20)
    assert.deepEqual(numbers(...back.map(({ inbox }) => inbox)), upTo(20))
    await Promise.all(back.map(({ client }) => client.endAsync()))
  })

  test('beside a subscription of the same session to the filter itself gives a message twice (MQTT 5 §4.8.2), and leaves none queued', async () => {
    const both = await worker('b1', { clean: false })
    await both.client.subscribeAsync('devices/#', { qos: 1 })
    const flow = Array.from({ length: 60 }, (_, index) =>
      publisher.publishAsync('devices/d1/up', String(index + 1), { qos: 1 }),
    )
    await Promise.all(flow)
    await until(() => both.inbox.all.length >= 120)
    assert.deepEqual(
      numbers(both.inbox),
      [...upTo(60), ...upTo(60)].toSorted((one, other) => one - other),
    )
    assert.equal(both.client.connected, true)
    await both.client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'b1')
    const identity = await t.roll.issuing.issue({ name: 'b1' })
    await t.roll.list('b1', identity)
    const back = await returningClient(t, 'b1', identity)
    await publish(61, 61)
    await until(() => back.inbox.all.length > 1)
    assert.deepEqual(numbers(back.inbox), [61, 61])
    await back.client.endAsync()
  })

  test('dies with the right: a policy that denies its filter drops the member, here or away', async () => {
    const [here, away] = [await worker('b1', { clean: false }), await worker('b2', { clean: false })]
    await away.client.endAsync()
    await t.line(line => line.msg === 'disconnected' && line.deviceId === 'b2')
    const stays = await worker('b3')
    const deny = { effect: 'deny', actions: ['subscribe'], topics: ['devices/+/up'] }
    await t.roll.writer.putPolicy('none', { name: 'none', statements: [deny] }, tester)
    await acted(t.roll.writer.attachPolicy('none', 'device', 'b1', tester))
    await acted(t.roll.writer.attachPolicy('none', 'device', 'b2', tester))
    await t.line(line => line.reason === 'subscribe_denied' && line['topic'] === SHARED)
    await acted(t.roll.writer.detachPolicy('none', 'device', 'b1', tester))
    await publish(1, 6)
    await until(() => stays.inbox.all.length === 6)
    assert.deepEqual(numbers(here.inbox), [])
    await end(here, stays)
  })

  test('shows no retained message, and is refused where its filter is', async () => {
    await publisher.publishAsync('devices/d1/up', '0', { qos: 1, retain: true })
    const one = await worker('b1')
    await publish(1, 1)
    await until(() => one.inbox.all.length === 1)
    assert.equal(one.inbox.all[0]!.payload, '1')
    const device = await rawSession(t, await t.roll.enroll('d2'), { clientId: 'd2', keepalive: 0 })
    const packets = packetsOf(device)
    device.write(
      subscribePacket(1, ['$share/g/devices/d1/up', '$share/g/devices/d2/#', '$share/g', '$share//x'], 1),
    )
    await until(() => packets.length > 0)
    assert.deepEqual([...packets[0]!.bytes.subarray(4)], [0x80, 1, 0x80, 0x80])
    device.destroy()
    await end(one)
  })
})
