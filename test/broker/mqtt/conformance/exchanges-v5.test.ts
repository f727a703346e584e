// The exchanges that MQTT 5 adds, clause by clause, with packets over real TLS.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Identity } from '../../../harness/authority.ts'
import { startTestBroker, type TestBroker } from '../../../harness/broker.ts'
import { type Mqtt5Client, speak5 } from '../../../harness/mqtt5-client.ts'
import { kept5, publish5, subscribe5 } from '../../../harness/packets5.ts'
import { tester } from '../../../harness/roll.ts'
import { until } from '../../../harness/until.ts'

const topic = 'devices/d1/x'

describe('MQTT 5', () => {
  let t: TestBroker
  let device: Identity & { fingerprint: string }
  let backend: Mqtt5Client
  let offsetMs = 0
  beforeEach(async () => {
    offsetMs = 0
    t = await startTestBroker({ now: () => Date.now() + offsetMs })
    device = await t.roll.enroll('d1')
    backend = await speak5(t, await t.roll.enroll('b1', { groups: ['backend'] }), { clientId: 'b1' })
  })
  afterEach(async () => {
    await backend.cut()
    await t.close()
  })

  const comes = (connect: object = {}) => speak5(t, device, { clientId: 'd1', ...connect })
  const publish = (messageId: number, more: object = {}) => publish5(topic, messageId, more)

  test('[MQTT-3.2.2] CONNACK says what the server bounds, and an assigned client identifier', async () => {
    const one = await comes({ clientId: '' })
    const { reasonCode, sessionPresent, properties } = one.connack!
    assert.deepEqual([reasonCode, sessionPresent], [0, false])
    assert.deepEqual(
      { ...properties },
      {
        receiveMaximum: 1_000,
        maximumPacketSize: 262_144,
        assignedClientIdentifier: 'd1',
        topicAliasMaximum: 16,
      },
    )
    await one.cut()
  })

  test('[MQTT-3.3.2] properties of a message travel as they came, user properties in their order', async () => {
    await backend.ask(subscribe5(1, 'devices/#'), 'suback')
    const one = await comes()
    // User properties a=1, b=2, a=3 around a content type, as bytes: mqtt-packet would sort them.
    const properties = Buffer.from(
      '26000161000131' + '0300026374' + '26000162000132' + '26000161000133',
      'hex',
    )
    const body = Buffer.concat([
      Buffer.from([0, topic.length]),
      Buffer.from(topic),
      Buffer.from([properties.length]),
      properties,
      Buffer.from('m'),
    ])
    one.raw(Buffer.concat([Buffer.from([0x30, body.length]), body]))
    const got = await backend.next('publish')
    const { contentType, userProperties } = got.properties as {
      contentType: string
      userProperties: Record<string, string[] | string>
    }
    assert.deepEqual([contentType, { ...userProperties }], ['ct', { a: ['1', '3'], b: '2' }])
    await one.cut()
  })

  test('[MQTT-3.3.2-6] what is left of its life is told, and of a message that has expired nothing is', async () => {
    const away = await comes(kept5(1_000))
    await away.ask(subscribe5(1, topic), 'suback')
    await away.leave()
    const sender = await speak5(t, await t.roll.enroll('s1', { groups: ['backend'] }), { clientId: 's1' })
    const to = (payload: string, messageExpiryInterval: number) =>
      sender.ask(publish(1, { payload, properties: { messageExpiryInterval } }), 'puback')
    await to('short', 10)
    await to('long', 100)
    offsetMs = 10_000
    const back = await comes(kept5(1_000))
    const got = await back.next('publish')
    assert.deepEqual([back.connack?.sessionPresent, String(got.payload)], [true, 'long'])
    assert.equal(got.properties?.['messageExpiryInterval'], 90)
    await back.cut()
    await sender.cut()
  })

  test('[MQTT-3.1.2-23] a session ends with its expiry, to the second, and not before', async () => {
    for (const [waitedMs, isPresent] of [
      [29_999, true],
      [30_000, false],
    ] as const) {
      const one = await comes({ ...kept5(30), clean: true })
      const before = offsetMs
      const leftAt = Date.now()
      await one.leave()
      await until(
        () => t.lines.filter(line => line.msg === 'disconnected' && line.deviceId === 'd1').length > 0,
      )
      // Its end was noted between these two moments.
      offsetMs = before + waitedMs - (isPresent ? Date.now() - leftAt + 500 : 0)
      const back = await comes(kept5(30))
      assert.equal(back.connack?.sessionPresent, isPresent, `${waitedMs} ms`)
      await back.cut()
      t.lines.length = 0
    }
  })

  test('[MQTT-3.14.2-2] DISCONNECT shortens the expiry, and may not begin one', async () => {
    const one = await comes(kept5(1_000))
    await one.leave({ properties: { sessionExpiryInterval: 0 } })
    const two = await comes({ clean: false })
    assert.equal(two.connack?.sessionPresent, false)
    two.say({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } })
    assert.equal((await two.next('disconnect')).reasonCode, 0x82)
    await two.closed()
  })

  test('[MQTT-3.3.4-9] no more than Receive Maximum is in flight, and the rest comes as it is acknowledged', async () => {
    for (const clean of [true, false]) {
      const one = await comes({
        clean,
        properties: { receiveMaximum: 2, sessionExpiryInterval: clean ? 0 : 100 },
      })
      await one.ask(subscribe5(1, topic), 'suback')
      for (let id = 1; id <= 5; id += 1) await backend.ask(publish(id, { payload: String(id) }), 'puback')
      await until(() => one.of('publish').length === 2)
      await one.ask({ cmd: 'pingreq' }, 'pingresp')
      assert.equal(one.of('publish').length, 2)
      for (let at = 1; at <= 5; at += 1) {
        const { messageId } = await one.next('publish', at)
        one.say({ cmd: 'puback', messageId })
      }
      assert.deepEqual(
        one.of('publish').map(({ payload }) => String(payload)),
        ['1', '2', '3', '4', '5'],
      )
      await one.leave({ properties: { sessionExpiryInterval: 0 } })
    }
  })

  test('what may not be sent again gives its identifier back by PUBREL, or the next message would pass for it', async () => {
    const one = await comes(kept5(100))
    await one.ask(subscribe5(1, 'devices/d1/#', { qos: 2 }), 'suback')
    await backend.ask(publish(1, { qos: 2, topic: 'devices/d1/secret' }), 'pubrec')
    const { messageId } = await one.next('publish')
    await one.cut()
    const deny = { effect: 'deny', actions: ['receive'], topics: ['devices/+/secret'] }
    await t.roll.writer.putPolicy('silent', { name: 'silent', statements: [deny] }, tester)
    await t.roll.writer.attachPolicy('silent', 'device', 'd1', tester)
    const back = await comes(kept5(100))
    assert.equal((await back.next('pubrel')).messageId, messageId)
    await backend.ask(publish(2, { qos: 2, payload: 'next' }), 'pubrec')
    const next = await back.next('publish')
    assert.equal(String(next.payload), 'next')
    assert.notEqual(next.messageId, messageId)
    await back.cut()
  })

  test('PUBREL again on a session that goes on is done with: its PUBCOMP may have been lost', async () => {
    const one = await comes(kept5(100))
    await one.ask(publish(1, { qos: 2 }), 'pubrec')
    assert.equal((await one.ask({ cmd: 'pubrel', messageId: 1 }, 'pubcomp')).reasonCode, 0)
    await one.cut()
    const back = await comes(kept5(100))
    assert.equal((await back.ask({ cmd: 'pubrel', messageId: 1 }, 'pubcomp')).reasonCode, 0)
    await back.cut()
  })

  test('[MQTT-3.1.2-24] a packet that is too large for a client is dropped for it, and the next one comes', async () => {
    const one = await comes({ properties: { maximumPacketSize: 100 } })
    await one.ask(subscribe5(1, topic), 'suback')
    await backend.ask(publish(1, { payload: 'x'.repeat(200) }), 'puback')
    await backend.ask(publish(2, { payload: 'small' }), 'puback')
    assert.equal(String((await one.next('publish')).payload), 'small')
    await one.cut()
  })

  test('[MQTT-3.3.2-12] topic aliases hold both ways, within what each side takes', async () => {
    const one = await comes({ properties: { topicAliasMaximum: 1 } })
    await one.ask(subscribe5(1, 'devices/d1/#'), 'suback')
    one.say(
      publish(0, { properties: { topicAlias: 1 } }),
      publish(0, { topic: '', payload: 'again', properties: { topicAlias: 1 } }),
    )
    one.say(publish(0, { topic: 'devices/d1/other', payload: 'other' }))
    await one.next('publish', 3)
    assert.deepEqual(
      one
        .of('publish')
        .map(({ topic: name, payload, properties }) => [name, String(payload), properties?.['topicAlias']]),
      [
        [topic, 'm', 1],
        ['', 'again', 1],
        ['devices/d1/other', 'other', undefined],
      ],
    )
    one.say(publish(0, { properties: { topicAlias: 17 } }))
    assert.equal((await one.next('disconnect')).reasonCode, 0x94)
    await one.closed()
  })

  test('[MQTT-3.8] no-local, retain as published, retain handling and subscription identifiers', async () => {
    const one = await comes()
    await one.ask(subscribe5(1, topic, { nl: true }), 'suback')
    await one.ask(publish(1), 'puback')
    await one.ask({ cmd: 'pingreq' }, 'pingresp')
    assert.equal(one.of('publish').length, 0, 'No Local [MQTT-3.8.3-3]')
    await one.ask(subscribe5(2, 'devices/d1/+', { rap: true }, { subscriptionIdentifier: 7 }), 'suback')
    await one.ask(subscribe5(3, 'devices/#'), 'suback').catch(() => {})
    await backend.ask(publish(1, { payload: 'kept', retain: true }), 'puback')
    const got = await one.next('publish')
    assert.deepEqual([got.retain, got.properties?.['subscriptionIdentifier']], [true, 7])
    const shown = async (rh: number, isNew: boolean) => {
      const before = one.of('publish').length
      if (isNew) await one.ask({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: [topic] }, 'unsuback')
      await one.ask(subscribe5(4, topic, { rh }), 'suback')
      await one.ask({ cmd: 'pingreq' }, 'pingresp')
      return one.of('publish').length - before
    }
    assert.deepEqual(
      [await shown(0, false), await shown(1, false), await shown(1, true), await shown(2, true)],
      [1, 0, 1, 0],
      'Retain Handling [MQTT-3.8.4-4]',
    )
    await one.cut()
  })

  test('what is denied is answered by its reason, and the connection stays', async () => {
    const one = await comes()
    const denied = await one.ask(publish(1, { topic: 'devices/other' }), 'puback')
    assert.equal(denied.reasonCode, 0x87)
    assert.match(String(denied.properties?.['reasonString']), /^publish_denied: /)
    assert.equal((await one.ask(publish(2, { topic: 'devices/other', qos: 2 }), 'pubrec')).reasonCode, 0x87)
    assert.deepEqual([...(await one.ask(subscribe5(3, 'devices/other/#'), 'suback')).granted!], [0x87])
    assert.deepEqual([...(await one.ask(subscribe5(4, '$share/g'), 'suback')).granted!], [0x8f])
    one.say(publish(0, { topic: 'devices/other', qos: 0 }))
    const nobody = await one.ask(publish(5), 'puback')
    assert.equal(nobody.reasonCode, 0x10, 'no matching subscribers')
    const odd = { payload: Buffer.from([0xff]), properties: { payloadFormatIndicator: true } }
    assert.equal((await one.ask(publish(6, odd), 'puback')).reasonCode, 0x99)
    const none = await one.ask({ cmd: 'unsubscribe', messageId: 7, unsubscriptions: ['a/b'] }, 'unsuback')
    assert.deepEqual([...none.granted!], [0x11])
    assert.equal((await one.ask({ cmd: 'pubrel', messageId: 9 }, 'pubcomp')).reasonCode, 0x92)
    assert.equal(one.isClosed(), false)
    await one.cut()
    const quiet = await comes({ properties: { requestProblemInformation: false } })
    const told = await quiet.ask(publish(1, { topic: 'devices/other' }), 'puback')
    assert.deepEqual([told.reasonCode, told.properties], [0x87, undefined], '[MQTT-3.1.2-29]')
    await quiet.cut()
  })

  test('CONNACK tells why, and a cut, a takeover and a broken rule are told before the end', async () => {
    assert.equal((await comes({ clientId: 'other' })).connack?.reasonCode, 0x85)
    const will = { topic: 'devices/other', payload: Buffer.from('x'), qos: 0, retain: false }
    const willing = await comes({ will })
    assert.equal(willing.connack?.reasonCode, 0x87)
    assert.match(String(willing.connack?.properties?.['reasonString']), /^will_denied: /)
    assert.equal((await comes({ properties: { authenticationMethod: 'SCRAM' } })).connack?.reasonCode, 0x8c)
    const first = await comes()
    const second = await comes()
    assert.equal((await first.next('disconnect')).reasonCode, 0x8e)
    await second.cut()
    const third = await comes()
    third.raw(Buffer.from([0xf0, 0]))
    assert.equal((await third.next('disconnect')).reasonCode, 0x82, 'AUTH')
    const fourth = await comes()
    await t.roll.writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
    const cut = await fourth.next('disconnect')
    assert.equal(cut.reasonCode, 0x98)
    assert.match(String(cut.properties?.['reasonString']), /^certificate_revoked: /)
    await fourth.closed()
    assert.equal((await comes()).connack?.reasonCode, 0x8a)
  })
})
