// Messages between nodes: what is published at one reaches sessions at the others, each once, in order, with all that travels with it.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Identity } from '../../harness/authority.ts'
import type { TestBroker } from '../../harness/broker.ts'
import { type Mqtt5Client, speak5 } from '../../harness/mqtt5-client.ts'
import { kept5, subscribe5 } from '../../harness/packets5.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

let nodes: Nodes
let one: TestBroker
let two: TestBroker
let three: TestBroker
const identities = new Map<string, Identity>()
const device = async (id: string) => {
  const known = identities.get(id) ?? (await nodes.backend(id))
  identities.set(id, known)
  return known
}
const at = async (node: TestBroker, id: string, options = {}) => clientAt(node, id, await device(id), options)

before(async () => {
  nodes = await createNodes()
  one = await nodes.start('one')
  two = await nodes.start('two')
  three = await nodes.start('three')
})
after(() => nodes[Symbol.asyncDispose]())

describe('messages between nodes', () => {
  for (const qos of [0, 1, 2] as const)
    it(`reach subscribers at every node once and in order at QoS ${qos}`, async () => {
      const publisher = await at(one, `p${qos}`)
      const readers = await Promise.all([one, two, three].map((node, n) => at(node, `r${qos}${n}`)))
      for (const { client } of readers) await client.subscribeAsync(`devices/x${qos}/+`, { qos })
      for (let n = 0; n < 200; n += 1) {
        const sent = publisher.client.publishAsync(`devices/x${qos}/a`, String(n), { qos })
        if (n % 50 === 0) await sent
      }
      await publisher.client.publishAsync(`devices/x${qos}/a`, 'last', { qos })
      for (const { inbox } of readers) {
        await inbox.message('last')
        assert.deepEqual(
          inbox.all.map(({ payload }) => payload),
          [...Array.from({ length: 200 }, (_, n) => String(n)), 'last'],
        )
        assert.ok(inbox.all.every(each => each.qos === qos))
      }
      for (const { client } of [publisher, ...readers]) await client.endAsync()
    })

  it('go in a copy for each Subscription Identifier of an overlap, live and to a session that was away', async () => {
    const publisher = await at(one, 'overlap-publisher')
    const publish = (payload: string) =>
      publisher.client.publishAsync('devices/overlap/a', payload, { qos: 1 })
    const comes = async (node: TestBroker) =>
      speak5(node, await device('overlap'), kept5(600, { clientId: 'overlap' }))
    const identifiersOf = async (client: Mqtt5Client, payload: string) => {
      const copies = () => client.of('publish').filter(each => String(each.payload) === payload)
      await until(() => copies().length >= 2)
      return copies().map(({ properties }) => properties?.['subscriptionIdentifier'])
    }
    const first = await comes(two)
    await first.ask(subscribe5(1, 'devices/overlap/#', {}, { subscriptionIdentifier: 1 }), 'suback')
    await first.ask(subscribe5(2, 'devices/overlap/+', {}, { subscriptionIdentifier: 2 }), 'suback')
    await publish('live')
    assert.deepEqual(await identifiersOf(first, 'live'), [1, 2])
    await first.leave()
    await publish('away')
    const again = await comes(three)
    assert.deepEqual(await identifiersOf(again, 'away'), [1, 2])
    await again.cut()
    await publisher.client.endAsync()
  })
})
