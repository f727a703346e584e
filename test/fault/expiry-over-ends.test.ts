// What ends by the clock in MQTT 5, one millisecond before and at the moment itself: sessions, wills and messages, of a broker that
// runs on, is restarted, or is killed in between.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../harness/authority.ts'
import { ends, type FrozenBroker, startFrozenBroker } from '../harness/frozen-broker.ts'
import { type Mqtt5Client, speak5 } from '../harness/mqtt5-client.ts'
import { kept5, publish5, publishOf, subscribe5 } from '../harness/packets5.ts'
import { createRoll, type Roll } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

const NEVER = 0xffff_ffff
const DAY_MS = 86_400_000

for (const how of ends)
  describe(`a broker that ${how}`, () => {
    let roll: Roll
    let t: FrozenBroker
    let device: Identity
    let other: Identity
    let witness: Identity
    let id = ''
    let topic = ''
    let willTopic = ''
    const open: Mqtt5Client[] = []
    before(async () => {
      roll = await createRoll()
      t = await startFrozenBroker(roll)
      other = await roll.enroll('b1', { groups: ['backend'] })
      witness = await roll.enroll('b2', { groups: ['backend'] })
    })
    let devices = 0
    beforeEach(async () => {
      devices += 1
      id = `d${devices}`
      topic = `devices/${id}/x`
      willTopic = `devices/${id}/will`
      device = await roll.enroll(id)
    })
    afterEach(async () => {
      await Promise.all(open.splice(0).map(client => client.cut()))
      await settled()
    })
    after(async () => {
      await t.close()
      await roll.close()
    })

    async function opened(identity: Identity, connect: object): Promise<Mqtt5Client> {
      const client = await speak5(t, identity, connect)
      open.push(client)
      return client
    }
    const comes = (connect: object = {}) => opened(device, { clientId: id, ...connect })
    /** Its session outlasts everything but the next `fresh` one. */
    const backend = (fresh: boolean) => opened(other, { clientId: 'b1', ...kept5(NEVER), clean: fresh })

    /** Its connection ends as a network fails, and the broker has noticed. */
    async function vanishes(client: Mqtt5Client): Promise<void> {
      await client.cut()
      await settled()
    }
    /** The broker has noticed every end, and what it wrote of them is on disk: SUBACK comes behind it. */
    async function settled(): Promise<void> {
      const left = open.filter(client => !client.isClosed()).length
      await until(async () => (await t.broker.sessions()) === left)
      const last = await speak5(t, witness, { clientId: 'b2', ...kept5(NEVER) })
      await last.ask(subscribe5(1, 'devices/none'), 'suback')
      await last.leave()
      await until(async () => (await t.broker.sessions()) === left)
    }

    type Row = [before: number, atDisconnect: number | null, waitedMs: number, isPresent: boolean]
    /** Each row is a device of its own; they come back in the order of time, after one end of the broker. */
    async function checkSessions(rows: Row[], leave: (client: Mqtt5Client, row: Row) => Promise<void>) {
      const members = await Promise.all(
        rows.map(async row => {
          devices += 1
          const name = `d${devices}`
          const identity = await roll.enroll(name)
          const client = await opened(identity, { clientId: name, ...kept5(row[0]) })
          return { row, name, identity, client }
        }),
      )
      for (const { client, row } of members) await leave(client, row)
      if (members.every(({ client }) => client.isClosed())) await settled()
      await t.end(how)
      let passedMs = 0
      for (const { row, name, identity } of members.sort((a, b) => a.row[2] - b.row[2])) {
        await t.pass(row[2] - passedMs)
        passedMs = row[2]
        const back = await opened(identity, { clientId: name, ...kept5(row[0]) })
        assert.equal(back.connack?.sessionPresent, row[3], `${row[0]} s, then ${row[1]} s: ${row[2]} ms`)
      }
    }

    test('keeps a session for its expiry to the millisecond, by CONNECT or by DISCONNECT', () =>
      checkSessions(
        [
          [30, null, 29_999, true],
          [30, null, 30_000, false],
          [1_000, 10, 9_999, true],
          [1_000, 10, 10_000, false],
          [10, 1_000, 999_999, true],
          [10, 1_000, 1_000_000, false],
          [10, NEVER, 4 * DAY_MS, true],
          [NEVER, 10, 10_000, false],
          [1_000, 0, 0, false],
        ],
        (client, [, atDisconnect]) =>
          client.leave(atDisconnect === null ? {} : { properties: { sessionExpiryInterval: atDisconnect } }),
      ))

    test('counts the expiry of a device that was connected from the end of its connection', () =>
      checkSessions(
        [
          [30, null, 29_999, true],
          [30, null, 30_000, false],
        ],
        async client => {
          if (how === 'runs on') await client.cut()
        },
      ))

    test('sends a will after its delay to the millisecond, with all its properties', async () => {
      const listener = await backend(true)
      await listener.ask(subscribe5(1, willTopic), 'suback')
      const properties = {
        willDelayInterval: 60,
        messageExpiryInterval: 100,
        contentType: 'text/plain',
        responseTopic: `devices/${id}/answer`,
        correlationData: Buffer.from([0, 255]),
        payloadFormatIndicator: true,
        userProperties: { z: '1', a: '2' },
      }
      const will = { topic: willTopic, payload: Buffer.from('gone'), qos: 1, retain: false, properties }
      const first = await comes(kept5(1_000, { will }))
      if (how === 'runs on') await vanishes(first)
      await t.end(how)
      await t.pass(59_999)
      const back = await comes(kept5(1_000, { will }))
      assert.equal(back.connack?.sessionPresent, true)
      await t.pass(1)
      const awaiting = how === 'runs on' ? listener : await backend(false)
      await awaiting.ask({ cmd: 'pingreq' }, 'pingresp')
      assert.equal(awaiting.of('publish').length, 0, 'the device was back before')
      await vanishes(back)
      await t.pass(10_000)
      await t.end(how)
      await t.pass(50_000)
      // Back at the very moment: it is sent all the same.
      const late = await comes(kept5(1_000))
      assert.equal(late.connack?.sessionPresent, true)
      const told = how === 'runs on' ? listener : await backend(false)
      const got = await told.next('publish')
      assert.equal(String(got.payload), 'gone')
      const { willDelayInterval, userProperties, ...rest } = properties
      const { userProperties: names, ...others } = got.properties as typeof properties
      assert.deepEqual({ ...others }, rest)
      assert.deepEqual({ ...names }, userProperties)
    })

    test('sends a will when its session ends before its delay', async () => {
      const listener = await backend(true)
      await listener.ask(subscribe5(1, willTopic), 'suback')
      const will = { topic: willTopic, payload: Buffer.from('gone'), qos: 1, retain: false }
      const properties = { willDelayInterval: 1_000 }
      const first = await comes(kept5(30, { will: { ...will, properties } }))
      if (how === 'runs on') await vanishes(first)
      await t.end(how)
      await t.pass(29_999)
      const told = how === 'runs on' ? listener : await backend(false)
      await told.ask({ cmd: 'pingreq' }, 'pingresp')
      assert.equal(told.of('publish').length, 0)
      await t.pass(1)
      assert.equal(String((await told.next('publish')).payload), 'gone')
    })

    test('hands out what waits until it expires, with what is left of its life', async () => {
      const one = await comes(kept5(NEVER))
      await one.ask(subscribe5(1, `devices/${id}/#`), 'suback')
      await one.leave()
      const sender = await backend(true)
      for (const [at, seconds] of [10, 11, 100].entries()) {
        const properties = { messageExpiryInterval: seconds }
        await sender.ask(publish5(topic, at + 1, { payload: String(seconds), properties }), 'puback')
        const retained = publish5(`devices/${id}/${seconds}`, at + 11, { retain: true, properties })
        await sender.ask({ ...retained, payload: `retained ${seconds}` }, 'puback')
      }
      await t.pass(4_000)
      await t.end(how)
      await t.pass(6_001)
      const back = await comes(kept5(NEVER))
      await back.next('publish', 4)
      await back.ask(subscribe5(2, `devices/${id}/+`), 'suback')
      await back.next('publish', 6)
      await back.ask({ cmd: 'pingreq' }, 'pingresp')
      assert.deepEqual(
        back
          .of('publish')
          .map(({ payload, properties }) => [String(payload), properties?.['messageExpiryInterval']]),
        [
          ['11', 1],
          ['retained 11', 1],
          ['100', 90],
          ['retained 100', 90],
          // Retained, as they are shown to a new subscription.
          ['retained 11', 1],
          ['retained 100', 90],
        ],
      )
    })

    test('sends again what it has begun to send, though it has expired meanwhile [MQTT-4.3.3-7]', async () => {
      const one = await comes(kept5(NEVER))
      await one.ask(subscribe5(1, topic, { qos: 2 }), 'suback')
      const sender = await backend(true)
      const properties = { messageExpiryInterval: 10 }
      await sender.ask(publish5(topic, 1, { qos: 1, payload: 'once', properties }), 'puback')
      await sender.ask(publish5(topic, 2, { qos: 2, payload: 'twice', properties }), 'pubrec')
      await one.next('publish', 2)
      await one.cut()
      await t.end(how)
      await t.pass(10_000)
      const back = await comes(kept5(NEVER))
      await back.next('publish', 2)
      assert.deepEqual(
        back.of('publish').map(packet => [String(packet.payload), (packet as { dup?: boolean }).dup]),
        [
          ['once', true],
          ['twice', true],
        ],
      )
    })

    test('keeps properties in queue, group and retained store as the bytes that came', async () => {
      const bytes = Buffer.from(
        // user z=1, content type, user a=2, response topic, user z=3, correlation data, payload format
        '2600017a000131' +
          '0300026374' +
          '26000161000132' +
          '0800016e' +
          '2600017a000133' +
          '0900020009' +
          '0101',
        'hex',
      )
      const one = await comes(kept5(NEVER))
      await one.ask(subscribe5(1, topic, { rap: true, nl: true }, { subscriptionIdentifier: 300 }), 'suback')
      await one.ask(subscribe5(2, `$share/g/devices/${id}/group`), 'suback')
      await one.leave()
      const sender = await backend(true)
      await sender.ask(publishOf(topic, 1, bytes, true), 'puback')
      await sender.ask(publishOf(`devices/${id}/group`, 2, bytes), 'puback')
      await t.end(how)
      const back = await comes(kept5(NEVER))
      await back.next('publish', 2)
      await back.ask(subscribe5(3, topic, { nl: true }), 'suback')
      await back.next('publish', 3)
      const got = back.frames.filter(({ kind }) => kind === 3).map(frame => frame.bytes)
      assert.ok(
        got.every(frame => frame.includes(bytes)),
        got.map(frame => frame.toString('hex')).join('\n'),
      )
      assert.deepEqual(
        back
          .of('publish')
          .map(({ topic: name, retain, properties }) => [
            name,
            retain,
            properties?.['subscriptionIdentifier'],
          ]),
        [
          [topic, true, 300],
          [`devices/${id}/group`, false, undefined],
          [topic, true, undefined],
        ],
      )
      await back.ask(publish5(topic, 9), 'puback')
      await back.ask({ cmd: 'pingreq' }, 'pingresp')
      assert.equal(back.of('publish').length, 3, 'No Local')
    })
  })
