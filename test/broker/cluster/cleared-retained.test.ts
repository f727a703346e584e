// A retained message that an operator clears is gone at every node, also where it came from another one, and at the next start of each; what is
// published afterwards stays at all.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { Identity } from '../../harness/authority.ts'
import type { TestBroker } from '../../harness/broker.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

const retain = { qos: 1, retain: true } as const
let nodes: Nodes
const identities = new Map<string, Identity>()
before(async () => {
  nodes = await createNodes()
})
after(() => nodes[Symbol.asyncDispose]())

/** What a new subscriber at this node is shown, up to a message that is published then. */
async function shownAt(node: TestBroker, id: string): Promise<string[]> {
  const identity = identities.get(id) ?? (await nodes.backend(id))
  identities.set(id, identity)
  const { client, inbox } = await clientAt(node, id, identity)
  await client.subscribeAsync('devices/x/#', { qos: 1 })
  await client.publishAsync('devices/x/end', 'end', { qos: 1 })
  await inbox.message('end')
  await client.endAsync()
  return inbox.all.map(({ payload }) => payload).filter(payload => payload !== 'end')
}

async function clear(...acting: TestBroker[]): Promise<void> {
  const clearing = { topic: 'devices/x/state', deviceId: null, publisher: null }
  const { epoch } = await nodes.roll.writer.clearRetained([clearing], tester)
  for (const node of acting)
    await node.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === epoch)
}

it('is gone at all nodes and after a start, and the next one is at all', async () => {
  const one = await nodes.start('one')
  const two = await nodes.start('two')
  const { client } = await clientAt(one, 'p', await nodes.backend('p'))
  await client.publishAsync('devices/x/state', 'first', retain)
  await until(async () => (await shownAt(two, 'r')).includes('first'))
  await clear(one, two)
  for (const [node, id] of [
    [one, 'r1'],
    [two, 'r2'],
  ] as const)
    assert.deepEqual(await shownAt(node, id), [])

  // At the moment at which nodes act on it, what they hear of each other may still be under way.
  for (let n = 0; n < 20; n += 1) {
    await client.publishAsync('devices/x/state', `early ${n}`, retain)
    await clear(one, two)
    await client.publishAsync('devices/x/state', `late ${n}`, retain)
  }
  await until(async () => (await shownAt(two, 'r')).includes('late 19'))
  assert.deepEqual(await shownAt(one, 'r1'), ['late 19'])
  await client.publishAsync('devices/x/state', 'last', retain)
  await clear(one, two)
  await until(async () => (await shownAt(two, 'r2')).length === 0)
  await client.endAsync()

  await one.broker.close()
  await two.broker.close()
  const three = await nodes.start('three')
  assert.deepEqual(await shownAt(three, 'r3'), [])
})
