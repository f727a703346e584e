// Sessions between nodes: each has one owner, and follows its device with queue, subscriptions, QoS 2 and will.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Identity } from '../../harness/authority.ts'
import { returningClient, type TestBroker } from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

let nodes: Nodes
let one: TestBroker
let two: TestBroker
const identities = new Map<string, Identity>()
const device = async (id: string) => {
  const known = identities.get(id) ?? (await nodes.backend(id))
  identities.set(id, known)
  return known
}
const at = async (node: TestBroker, id: string, options = {}) => clientAt(node, id, await device(id), options)
const v5 = { protocolVersion: 5 } as const

before(async () => {
  nodes = await createNodes()
  one = await nodes.start('one')
  two = await nodes.start('two')
})
after(() => nodes[Symbol.asyncDispose]())

describe('sessions between nodes', () => {
  it('end at the node before when their device comes to another, with 0x8E in version 5', async () => {
    for (const [id, options, code] of [
      ['t4', {}, null],
      ['t5', v5, 0x8e],
    ] as const) {
      const before = await at(one, id, options)
      let told: number | null = null
      before.client.on('disconnect', ({ reasonCode }) => {
        told = reasonCode ?? null
      })
      const closed = new Promise<void>(resolve => before.client.once('close', () => resolve()))
      const again = await at(two, id, options)
      await closed
      assert.equal(told, code)
      assert.ok(again.client.connected)
      assert.equal(one.broker.sessions(), 0)
      await again.client.endAsync()
    }
  })

  it('have what waited at one node, and no more twice, in order, when they come to another', async () => {
    const publishers = [await at(one, 'wp1'), await at(two, 'wp2')]
    const options = { clean: false }
    const first = await at(one, 'w', options)
    await first.client.subscribeAsync('devices/wait/#', { qos: 2 })
    let sent = 0
    const publish = async () => {
      for (const [n, { client }] of publishers.entries())
        for (const qos of [1, 2] as const)
          await client.publishAsync(`devices/wait/${n}`, `${n}-${qos}-${sent}`, { qos })
      sent += 1
    }
    const seen: string[] = []
    const take = (inbox: { all: { payload: string }[] }) =>
      seen.push(...inbox.all.map(({ payload }) => payload))
    await publish()
    await until(() => first.inbox.all.length === 4)
    take(first.inbox)
    await first.client.endAsync()
    for (const node of [two, one, two, two, one]) {
      await publish()
      await publish()
      const back = await returningClient(node, 'w', await device('w'))
      assert.equal(back.sessionPresent, true)
      await publish()
      await until(() => back.inbox.all.length >= 12)
      take(back.inbox)
      await back.client.endAsync()
    }
    for (const n of [0, 1])
      for (const qos of [1, 2])
        assert.deepEqual(
          seen.filter(text => text.startsWith(`${n}-${qos}-`)),
          Array.from({ length: sent }, (_, at) => `${n}-${qos}-${at}`),
        )
    for (const { client } of publishers) await client.endAsync()
  })

  it('end with clean start at another node', async () => {
    const first = await at(one, 'c', { clean: false })
    await first.client.subscribeAsync('devices/c/#', { qos: 1 })
    await first.client.endAsync()
    await (await at(two, 'c')).client.endAsync()
    const back = await returningClient(one, 'c', await device('c'))
    assert.equal(back.sessionPresent, false)
    await back.client.endAsync()
  })

  it('send their will once where they end, to subscribers at every node', async () => {
    const readers = [await at(one, 'wr1'), await at(two, 'wr2')]
    for (const { client } of readers) await client.subscribeAsync('devices/will/#', { qos: 1 })
    const will = { topic: 'devices/will/x', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const dying = await at(one, 'wd', { will })
    dying.client.stream.destroy()
    for (const { inbox } of readers) assert.equal((await inbox.message('gone')).qos, 1)
    for (const { client } of readers) await client.endAsync()
  })

  it('retain for every node, whatever comes first, and show it to who subscribes later', async () => {
    const [a, b] = [await at(one, 'ra'), await at(two, 'rb')]
    for (const qos of [0, 1] as const) {
      await Promise.all(
        Array.from({ length: 30 }, (_, n) => [
          a.client.publishAsync(`devices/ret/${qos}`, `a${n}`, { qos, retain: true }),
          b.client.publishAsync(`devices/ret/${qos}`, `b${n}`, { qos, retain: true }),
        ]).flat(),
      )
      await a.client.publishAsync('devices/other', 'x', { qos: 1 })
      await b.client.publishAsync('devices/other', 'x', { qos: 1 })
    }
    await new Promise(resolve => setTimeout(resolve, 300))
    const shown: string[][] = []
    const three = await nodes.start('three')
    for (const [node, id] of [
      [one, 'rr1'],
      [two, 'rr2'],
      [three, 'rr3'],
    ] as const) {
      const { client, inbox } = await at(node, id)
      await client.subscribeAsync('devices/ret/#', { qos: 1 })
      await until(() => inbox.all.length === 2)
      shown.push(inbox.all.map(({ payload }) => payload))
      await client.endAsync()
    }
    assert.deepEqual(shown[1], shown[0])
    assert.deepEqual(shown[2], shown[0])
    await a.client.publishAsync('devices/ret/0', '', { qos: 1, retain: true })
    await three.close()
    for (const { client } of [a, b]) await client.endAsync()
  })

  it('share a subscription over nodes: one member of all gets each message', async () => {
    const members = [await at(one, 's1'), await at(two, 's2'), await at(two, 's3')]
    for (const { client } of members) await client.subscribeAsync('$share/g/devices/share/#', { qos: 1 })
    const publisher = await at(one, 'sp')
    // Publishers learn of members at the speed of the bus.
    await until(async () => {
      await publisher.client.publishAsync('devices/share/x', 'probe', { qos: 1 })
      return members.every(({ inbox }) => inbox.all.length > 0)
    })
    // Two and two, so that each node gets both, whichever has the first turn.
    for (let n = 0; n < 60; n += 1)
      await publisher.client.publishAsync('devices/share/x', `n${n}`, { qos: n % 4 < 2 ? 1 : 0 })
    const counted = () =>
      members.flatMap(({ inbox }) => inbox.all.map(({ payload }) => payload)).filter(text => text !== 'probe')
    await until(() => counted().length >= 60)
    assert.deepEqual(counted().toSorted(), Array.from({ length: 60 }, (_, n) => `n${n}`).toSorted())
    for (const { client } of [...members, publisher]) await client.endAsync()
  })

  it('carry the properties of version 5, and what is left of their life', async () => {
    const reader = await at(two, 'pr', v5)
    await reader.client.subscribeAsync('devices/props', { qos: 1 })
    const got = new Promise<object>(resolve =>
      reader.client.once('message', (_topic, _payload, packet) => resolve(packet.properties ?? {})),
    )
    const publisher = await at(one, 'pp', v5)
    const properties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 100,
      responseTopic: 'devices/answer',
      correlationData: Buffer.from([0, 1, 255]),
      userProperties: { a: ['1', '2'], ä: '🜁' },
      contentType: 'text/x',
    }
    await publisher.client.publishAsync('devices/props', 'text', { qos: 1, properties })
    assert.deepEqual(JSON.parse(JSON.stringify(await got)), JSON.parse(JSON.stringify(properties)))
    for (const { client } of [reader, publisher]) await client.endAsync()
  })
})
