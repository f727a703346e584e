// What a member of a group has not acknowledged when its session ends goes to another that may have it, and to nobody else.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MqttClient } from 'mqtt'
import type { BrokerSettings } from '../../../../broker/settings/validation.ts'
import { asDevice, subscriber } from '../../../e2e/mosquitto.ts'
import { mqttClient, returningClient, startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { type Inbox, openInbox } from '../../../harness/inbox.ts'
import { createRoll, type Roll, tester } from '../../../harness/roll.ts'
import { type SilentWorker, silentWorker } from '../../../harness/silent-worker.ts'
import { until } from '../../../harness/until.ts'

const SHARED = '$share/workers/devices/+/up'
const DISCONNECT = Buffer.from([0xe0, 0])
const UNSUBSCRIBE = Buffer.concat([
  Buffer.from([0xa2, SHARED.length + 4, 0, 9, 0, SHARED.length]),
  Buffer.from(SHARED),
])

describe('what a member of a group has not acknowledged', () => {
  let roll: Roll
  let t: TestBroker
  let publisher: MqttClient
  let clients: MqttClient[]

  beforeEach(async () => {
    roll = await createRoll()
    await begin()
  })
  afterEach(async () => {
    await end()
    await roll.close()
  })
  async function begin(settings: Partial<BrokerSettings> = {}): Promise<void> {
    t = await startTestBroker({ roll, settings })
    clients = []
    publisher = await mqttClient(t, 'd1', await identityOf('d1'))
    clients.push(publisher)
  }
  async function end(): Promise<void> {
    await Promise.all(clients.map(client => client.endAsync(true)))
    await t.close()
  }

  async function identityOf(id: string) {
    const identity = await roll.issuing.issue({ name: id })
    if (id !== 'd1' && !(await roll.registry.sqlite.prepare('SELECT 1 FROM devices WHERE id = ?').get(id)))
      await roll.writer.addDevice({ id, attributes: {}, groups: ['backend'] }, tester)
    return { ...identity, fingerprint: await roll.list(id, identity) }
  }
  async function silent(id: string, options: { filter?: string; qos?: 0 | 1 | 2 } = { filter: SHARED }) {
    const identity = await identityOf(id)
    const worker: SilentWorker = await silentWorker(t, id, identity, options)
    return { ...worker, identity }
  }
  async function other(id = 'b2', { clean = true, filter = SHARED, qos = 1 as 0 | 1 | 2 } = {}) {
    const client = await mqttClient(t, id, await identityOf(id), { clean })
    clients.push(client)
    const inbox = openInbox(client)
    await client.subscribeAsync(filter, { qos })
    return { client, inbox }
  }
  async function publish(
    from: number,
    to: number,
    qos: 0 | 1 | 2 = 1,
    text: (number: number) => string = String,
  ): Promise<void> {
    for (let number = from; number <= to; number += 1)
      await publisher.publishAsync('devices/d1/up', text(number), { qos })
  }
  const payloads = (inbox: Inbox) => inbox.all.map(({ payload }) => payload)
  const upTo = (last: number, first = 1) =>
    Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
  const left = (id: string) => t.line(line => line.msg === 'disconnected' && line.deviceId === id)
  const dropped = async () =>
    Number(
      /^rollcall_messages_dropped_total\{queue="shared"\} (\d+)/m.exec(await t.broker.metrics())?.[1] ?? 0,
    )
  /** Ten messages, of which it acknowledges the fourth. */
  async function holding(qos: 1 | 2 = 1) {
    const worker = await silent('b1', { filter: SHARED, qos })
    await publish(1, 10, qos)
    await until(() => worker.messages.length === 10)
    worker.answer(qos === 1 ? 4 : 5, 3)
    if (qos === 2) await until(() => worker.others.some(({ cmd }) => cmd === 'pubrel'))
    return worker
  }

  const ends: Record<string, (worker: Awaited<ReturnType<typeof silent>>) => unknown> = {
    'its connection is lost': ({ socket }) => socket.destroy(),
    'it disconnects': ({ socket }) => socket.end(DISCONNECT),
    'another connection of its device takes over': ({ identity }) => silentWorker(t, 'b1', identity),
    'its certificate is revoked': ({ identity }) =>
      roll.writer.revokeCertificate(identity.fingerprint, 'keyCompromise', tester),
    'its device is suspended': () => roll.writer.setDeviceState('b1', 'suspended', tester),
  }
  for (const [what, act] of Object.entries(ends)) {
    test(`goes to another in its order and once when ${what}`, async () => {
      const worker = await holding()
      const { inbox } = await other()
      await act(worker)
      await left('b1')
      await publish(11, 11)
      await inbox.message('11')
      assert.deepEqual(payloads(inbox), ['1', '2', '3', ...upTo(11, 5)])
      assert.ok(inbox.all.every(({ qos, retain }) => qos === 1 && !retain))
      assert.equal(await dropped(), 0)
      worker.socket.destroy()
    })
  }

  test('goes to mosquitto_sub, and to one that is new to it without DUP', async () => {
    const worker = await holding()
    const files = mkdtempSync(join(tmpdir(), 'rollcall-'))
    const identity = await identityOf('b2')
    const at = (name: string, text: string) => {
      writeFileSync(join(files, name), text, { mode: 0o600 })
      return join(files, name)
    }
    const device = {
      id: 'b2',
      files: {
        ca: at('ca.crt', roll.root.certificate),
        certificate: at('b2.crt', identity.certificate),
        key: at('b2.key', identity.key),
      },
    }
    const client = await subscriber(asDevice(t.broker.port, device), '-t', SHARED, '-q', '1', '-C', '9')
    worker.socket.destroy()
    const { code, output } = await client.ended
    assert.equal(code, 0, output)
    const got = output.match(/^devices\/d1\/up\|1\|0\|\d+$/gm)?.map(line => line.split('|')[3])
    assert.deepEqual(got, ['1', '2', '3', ...upTo(10, 5)])
    assert.doesNotMatch(output, /PUBLISH \(d1/)
    rmSync(files, { recursive: true })
  })

  test('is shared among all that are left, and goes on where they end too', async () => {
    const first = await silent('b1')
    await publish(1, 12)
    await until(() => first.messages.length === 12)
    const [second, third] = [await silent('b2'), await silent('b3')]
    first.socket.destroy()
    await until(() => second.messages.length === 6 && third.messages.length === 6)
    assert.deepEqual(second.payloads(), ['1', '3', '5', '7', '9', '11'])
    assert.ok(second.messages.every(({ dup }) => !dup))
    second.socket.destroy()
    await until(() => third.messages.length === 12)
    assert.deepEqual(third.payloads().slice(6), ['1', '3', '5', '7', '9', '11'])
    third.socket.destroy()
    await left('b3')
    assert.equal(await dropped(), 12)
  })

  test('is the client’s still where it only unsubscribes [MQTT-3.10.4-3], until its session ends', async () => {
    const worker = await holding()
    const { inbox } = await other()
    worker.socket.write(UNSUBSCRIBE)
    await until(() => worker.others.some(({ cmd }) => cmd === 'unsuback'))
    worker.answer(4, 0)
    await publish(11, 12)
    await inbox.message('12')
    assert.deepEqual(payloads(inbox), ['11', '12'])
    worker.socket.end(DISCONNECT)
    await inbox.message('10')
    assert.deepEqual(payloads(inbox), ['11', '12', '2', '3', ...upTo(10, 5)])
  })

  test('goes to nobody with QoS 2, answered or not [MQTT-4.8.2-5]', async () => {
    const worker = await holding(2)
    const { inbox } = await other('b2', { qos: 2 })
    worker.socket.destroy()
    await left('b1')
    await publish(11, 11, 2)
    await inbox.message('11')
    assert.deepEqual(payloads(inbox), ['11'])
  })

  test('waits with a stored session where nobody is here', async () => {
    const away = await other('b2', { clean: false })
    await away.client.endAsync()
    await left('b2')
    const worker = await holding()
    worker.socket.destroy()
    await left('b1')
    const back = await returningClient(t, 'b2', await identityOf('b2'))
    clients.push(back.client)
    await back.inbox.message('10')
    assert.deepEqual(payloads(back.inbox), ['1', '2', '3', ...upTo(10, 5)])
  })

  test('waits with a stored session that is here when the broker stops, and over its restart', async () => {
    const worker = await holding()
    const here = await other('b2', { clean: false })
    await publish(11, 12)
    await here.inbox.message('12')
    await t.close()
    await end()
    worker.socket.destroy()
    await begin()
    const back = await returningClient(t, 'b2', await identityOf('b2'))
    clients.push(back.client)
    await back.inbox.message('11')
    assert.deepEqual(payloads(back.inbox), ['1', '2', '3', ...upTo(11, 5)])
  })

  test('goes to nobody that may not receive it, and to no other group', async () => {
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/+/up'] }
    await roll.writer.putPolicy('deaf', { name: 'deaf', statements: [deny] }, tester)
    const deaf = await other('b2')
    await roll.writer
      .attachPolicy('deaf', 'device', 'b2', tester)
      .then(epoch => t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch))
    const worker = await holding()
    const stranger = await other('b3', { filter: '$share/strangers/devices/+/up' })
    worker.socket.destroy()
    await left('b1')
    assert.equal(await dropped(), 9)
    await publish(11, 11)
    await stranger.inbox.message('11')
    assert.deepEqual([payloads(deaf.inbox), payloads(stranger.inbox)], [[], ['11']])
  })

  test('is not what a subscription of its own brought it, and not what came with QoS 0', async () => {
    const own = await silent('b1', { filter: 'devices/+/up' })
    own.socket.write(
      Buffer.concat([
        Buffer.from([0x82, SHARED.length + 5, 0, 2, 0, SHARED.length]),
        Buffer.from(SHARED),
        Buffer.from([1]),
      ]),
    )
    await until(() => own.others.length === 2)
    const nothing = await silent('b3', { filter: SHARED, qos: 0 })
    await publish(1, 10)
    await until(() => own.messages.length === 15 && nothing.messages.length === 5)
    for (const [at] of own.messages.entries()) own.answer(4, at)
    own.socket.end(DISCONNECT)
    nothing.socket.destroy()
    await left('b1')
    await left('b3')
    assert.equal(await dropped(), 0)
  })

  test('is kept within offlineMessagesMax and offlineBytesMax: the oldest is forgotten, and counted', async () => {
    await end()
    await begin({ offlineMessagesMax: 6, offlineBytesMax: 4_096 })
    const worker = await silent('b1')
    await publish(1, 10)
    await until(() => worker.messages.length === 10)
    assert.equal(await dropped(), 4)
    await publish(11, 12, 1, number => String(number).padEnd(1_300))
    await publish(13, 13, 1, number => String(number).padEnd(5_000))
    await until(() => worker.messages.length === 13)
    const { inbox } = await other()
    worker.socket.destroy()
    await until(() => inbox.all.length >= 5)
    await left('b1')
    const got = payloads(inbox).map(Number)
    assert.deepEqual(got, [8, 9, 10, 11, 12])
    assert.equal(await dropped(), 13 - got.length)
  })

  test('overwhelms nobody: more than outboundBytesMax arrives too, and its receiver stays', async () => {
    await end()
    await begin({ outboundBytesMax: 16_384, offlineBytesMax: 1_000_000, outboundTimeoutMs: 60_000 })
    const worker = await silent('b1')
    await publish(1, 300, 1, number => String(number).padEnd(2_000))
    await until(() => worker.messages.length === 300)
    const { inbox, client } = await other()
    worker.socket.destroy()
    await until(() => inbox.all.length === 300)
    assert.deepEqual(
      payloads(inbox).map(text => text.trim()),
      upTo(300),
    )
    assert.ok(client.connected)
    assert.equal(await dropped(), 0)
  })
})
