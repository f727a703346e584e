// MQTT.js in MQTT 5 with every option it has, against ours and against mosquitto.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { IClientOptions, IPublishPacket } from 'mqtt'
import { scratch } from '../e2e/system.ts'
import { startTarget, type Target, targetNames } from './brokers.ts'
import { type Visitor, visit } from './mqttjs-client.ts'

type Device = Target['backends'][number]

const properties = {
  payloadFormatIndicator: true,
  messageExpiryInterval: 600,
  contentType: 'application/json',
  responseTopic: 'devices/backend/answers',
  correlationData: Buffer.from([0, 255, 1]),
  userProperties: { hop: ['first', 'second'], site: 'north' },
}

/** What came, without what a subscriber's own options add. */
function given({ properties: own = {} }: IPublishPacket) {
  const { userProperties, correlationData, messageExpiryInterval = 0 } = own
  return {
    payloadFormatIndicator: own.payloadFormatIndicator,
    messageExpiryInterval:
      messageExpiryInterval > 590 && messageExpiryInterval <= 600 ? 600 : messageExpiryInterval,
    contentType: own.contentType,
    responseTopic: own.responseTopic,
    correlationData: correlationData && Buffer.from(correlationData),
    userProperties: { ...userProperties },
  }
}

for (const name of targetNames) {
  describe(`MQTT.js in MQTT 5 at ${name}`, () => {
    const world = scratch()
    let target: Target
    let backend: Device
    before(async () => {
      target = await startTarget(name, world.at(name))
      backend = target.backends[0] as Device
    })
    after(async () => {
      await target?.[Symbol.asyncDispose]()
      world[Symbol.dispose]()
    })
    const enter = (device: Device, options?: IClientOptions): Promise<Visitor> =>
      visit(target, device, options)

    it('is let in with every property of CONNECT, and told what the broker bears', async () => {
      await using visitor = await enter(await target.device('asks-much'), {
        keepalive: 40,
        properties: {
          sessionExpiryInterval: 600,
          receiveMaximum: 10,
          maximumPacketSize: 10_000,
          topicAliasMaximum: 5,
          requestResponseInformation: true,
          requestProblemInformation: true,
          userProperties: { firmware: '1.2', site: ['a', 'b'] },
        },
      })
      const { connack } = visitor
      assert.deepEqual([connack.reasonCode, connack.sessionPresent], [0, false])
      const said = connack.properties ?? {}
      assert.notEqual(said.receiveMaximum, 0)
      assert.notEqual(said.wildcardSubscriptionAvailable, false)
      assert.notEqual(said.sharedSubscriptionAvailable, false)
      assert.notEqual(said.subscriptionIdentifiersAvailable, false)
    })

    it('with an empty client ID is given one', async () => {
      const device = await target.device('nameless')
      await using visitor = await enter(device, { clientId: '' })
      const assigned = visitor.connack.properties?.assignedClientIdentifier
      assert.ok(assigned)
      if (target.system) assert.equal(assigned, device.id)
    })

    for (const qos of [0, 1, 2] as const) {
      it(`publishes and receives every property at QoS ${qos}`, async () => {
        const device = await target.device(`full-${qos}`)
        const topic = `devices/${device.id}/t`
        await using listener = await enter(backend)
        await using sender = await enter(device)
        await listener.subscribe(topic, { qos })
        await sender.client.publishAsync(topic, '{}', { qos, properties })
        const [message] = await listener.heard(1)
        assert.ok(message)
        assert.deepEqual([message.qos, message.retain, given(message)], [qos, false, properties])
      })
    }

    it('has its will sent with every property once it is gone, and also where it says so with 0x04', async () => {
      const device = await target.device('mortal')
      const topic = 'devices/mortal/gone'
      await using listener = await enter(backend)
      await listener.subscribe(topic)
      const will = { topic, payload: Buffer.from('died'), qos: 1 as const, retain: false, properties }
      const killed = await enter(device, { will })
      killed.client.stream.destroy()
      const [first] = await listener.heard(1)
      assert.deepEqual(first && given(first), properties)
      const polite = await enter(device, { will })
      await polite.client.endAsync(false, { reasonCode: 4 } as never)
      await listener.heard(2)
      const quiet = await enter(device, { will })
      await quiet.client.endAsync()
      await using sender = await enter(device)
      await sender.client.publishAsync(topic, 'alive', { qos: 1 })
      const messages = await listener.heard(3)
      assert.deepEqual(
        messages.map(({ payload }) => payload.toString()),
        ['died', 'died', 'alive'],
      )
    })

    it('does not hear itself with no-local, and hears others', async () => {
      const device = await target.device('selfless')
      const topic = 'devices/selfless/t'
      await using visitor = await enter(device)
      await using other = await enter(backend)
      await visitor.subscribe(topic, { qos: 1, nl: true })
      await visitor.client.publishAsync(topic, 'own', { qos: 1 })
      await other.client.publishAsync(topic, 'foreign', { qos: 1 })
      assert.equal((await visitor.heard(1))[0]?.payload.toString(), 'foreign')
    })

    it('gets retained messages always, for a new subscription, or never, as it asks', async () => {
      const device = await target.device('handled')
      const at = (rest: string) => `devices/handled/${rest}`
      await using visitor = await enter(device)
      await visitor.client.publishAsync(at('state'), 'kept', { qos: 1, retain: true })
      const subscribe = async (rh: number) => {
        const before = visitor.messages.length
        await visitor.subscribe(at('state'), { qos: 1, rh })
        // What is retained comes before what is published now.
        await visitor.subscribe(at('mark'))
        await visitor.client.publishAsync(at('mark'), 'mark', { qos: 1 })
        while (visitor.messages.at(-1)?.topic !== at('mark')) await visitor.heard(visitor.messages.length + 1)
        const own = visitor.messages.slice(before)
        return own.filter(({ topic }) => topic === at('state')).map(({ retain }) => retain)
      }
      assert.deepEqual(await subscribe(2), [])
      assert.deepEqual(await subscribe(1), [])
      assert.deepEqual(await subscribe(0), [true])
      await visitor.client.unsubscribeAsync(at('state'))
      assert.deepEqual(await subscribe(1), [true])
      assert.deepEqual(await subscribe(1), [])
    })

    it('is told which of its subscriptions a message is for', async () => {
      const device = await target.device('identified')
      await using visitor = await enter(device)
      const subscribe = (filter: string, subscriptionIdentifier: number) =>
        visitor.subscribe(filter, { qos: 1, properties: { subscriptionIdentifier } })
      await subscribe('devices/identified/#', 7)
      await subscribe('devices/identified/+', 268_435_455)
      await subscribe('devices/identified/other', 9)
      const seen = new Set<number>()
      await visitor.client.publishAsync('devices/identified/t', 'x', { qos: 1 })
      // One copy with both, or a copy for each [MQTT-3.3.4-4, -5].
      for (let count = 1; seen.size < 2; count++) {
        const last = (await visitor.heard(count)).at(-1)
        for (const id of [last?.properties?.subscriptionIdentifier ?? []].flat()) seen.add(id)
      }
      assert.deepEqual([...seen].sort(), [268_435_455, 7].sort())
    })

    it('uses topic aliases both ways', async () => {
      const device = await target.device('aliased')
      const aliases = {
        properties: { topicAliasMaximum: 10 },
        autoUseTopicAlias: true,
        autoAssignTopicAlias: true,
      }
      await using listener = await enter(backend, aliases)
      await using sender = await enter(device, aliases)
      await listener.subscribe('devices/aliased/#')
      const sent = Array.from({ length: 30 }, (_, number) => `devices/aliased/${number % 3}`)
      for (const topic of sent) await sender.client.publishAsync(topic, 'x', { qos: 1 })
      const heard = await listener.heard(sent.length)
      assert.deepEqual(heard.map(({ topic }) => topic).sort(), sent.toSorted())
    })

    it('finds its session as long as it asked for it, until it asks for less', async () => {
      const device = await target.device('returning')
      const topic = 'devices/returning/commands'
      const kept = { clean: false, properties: { sessionExpiryInterval: 600 } }
      const first = await enter(device, kept)
      await first.subscribe(topic)
      await first.client.endAsync()
      await using sender = await enter(backend)
      await sender.client.publishAsync(topic, 'meanwhile', { qos: 1, properties })
      const second = await enter(device, kept)
      assert.equal(second.connack.sessionPresent, true)
      const [waited] = await second.heard(1)
      assert.deepEqual(waited && given(waited), properties)
      await second.client.endAsync(false, {
        reasonCode: 0,
        properties: { sessionExpiryInterval: 0 },
      } as never)
      const third = await enter(device, { clean: false })
      assert.equal(third.connack.sessionPresent, false)
      await third.subscribe(topic)
      await third.client.endAsync()
      // Without an expiry a session ends with its connection.
      await using fourth = await enter(device, kept)
      assert.equal(fourth.connack.sessionPresent, false)
    })

    it('is told that it may not publish there, and stays', async () => {
      const device = await target.device('trespasser')
      await using visitor = await enter(device)
      for (const qos of [1, 2] as const) {
        await assert.rejects(visitor.client.publishAsync('devices/full-0/t', 'x', { qos }), { code: 0x87 })
      }
      await visitor.client.publishAsync('devices/trespasser/t', 'x', { qos: 1 })
    })

    it('is told that it was not subscribed', async () => {
      await using visitor = await enter(await target.device('never'))
      const packet = await visitor.client.unsubscribeAsync('devices/never/t')
      assert.deepEqual((packet as { granted?: number[] }).granted, [0x11])
    })

    it('is refused where it wants to authenticate in a way that there is not', async () => {
      const authentication = {
        properties: { authenticationMethod: 'SCRAM-SHA-1', authenticationData: Buffer.from('x') },
      }
      await assert.rejects(enter(await target.device('scrambled'), authentication), { code: 0x8c })
    })
  })
}
