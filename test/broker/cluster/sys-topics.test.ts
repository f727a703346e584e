// What is published below `$SYS` of several nodes: of all together, of each, and nothing of one that has ended.
import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { until } from '../../cli/running.ts'
import { tester } from '../../harness/roll.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

const SYS_INTERVAL_MS = 100
let nodes: Nodes

before(async () => {
  nodes = await createNodes()
})
after(() => nodes[Symbol.asyncDispose]())

/** A client that may read these filters, with what is retained on each topic by what it was sent. */
async function readerAt(node: Parameters<typeof clientAt>[0], id: string, filters: string[]) {
  const identity = await nodes.roll.enroll(id)
  const statements = [{ effect: 'allow', actions: ['subscribe'], topics: filters }]
  await nodes.roll.writer.putPolicy(id, { name: id, statements }, tester)
  await nodes.roll.writer.attachPolicy(id, 'device', id, tester)
  const { client } = await clientAt(node, id, identity)
  const shown = new Map<string, string>()
  client.on('message', (topic, payload) => {
    if (payload.length === 0) shown.delete(topic)
    else shown.set(topic, String(payload))
  })
  await client.subscribeAsync(filters)
  return { client, shown }
}

it('readers at each node see all nodes together and each by its name, and nothing of one that was killed', async () => {
  const [one, two] = await Promise.all(
    ['one', 'two+berlin'].map(name => nodes.fork(name, 0, { sysIntervalMs: SYS_INTERVAL_MS })),
  )
  assert.ok(one !== undefined && two !== undefined)
  const filters = ['$SYS/broker/#', '$SYS/brokers/#']
  const readers = [await readerAt(one, 'ops-1', filters), await readerAt(two, 'ops-2', filters)]
  const publisher = await clientAt(two, 'publisher', await nodes.backend('publisher'))
  for (const text of ['a', 'b', 'c']) await publisher.client.publishAsync('devices/x/y', text, { qos: 1 })
  await publisher.client.publishAsync('devices/x/kept', 'd', { qos: 1, retain: true })

  const sees = ({ shown }: (typeof readers)[number], expected: Record<string, string>) =>
    Object.entries(expected).every(([topic, payload]) => shown.get(`$SYS/${topic}`) === payload)
  const twoNodes = {
    brokers: 'one,two%2Bberlin',
    'broker/clients/connected': '3',
    'broker/clients/maximum': '3',
    'broker/subscriptions/count': '4',
    'broker/publish/messages/received': '4',
    'brokers/one/clients/connected': '1',
    'brokers/one/publish/messages/received': '0',
    'brokers/two%2Bberlin/clients/connected': '2',
    'brokers/two%2Bberlin/publish/messages/received': '4',
  }
  for (const reader of readers) await until(async () => sees(reader, twoNodes), 'both nodes are seen')
  // These count themselves, and what a device retains counts once.
  const counts = ({ shown }: (typeof readers)[number]) =>
    shown.get('$SYS/broker/retained messages/count') === String(shown.size + 1)
  for (const reader of readers) await until(async () => counts(reader), 'all that is retained is counted')

  await two.kill()
  const alone = { brokers: 'one', 'broker/clients/connected': '1', 'broker/publish/messages/received': '0' }
  const [reader] = readers
  await until(async () => sees(reader!, alone), 'what the killed node had is gone')
  assert.deepEqual(
    [...reader!.shown.keys()].filter(topic => topic.includes('berlin')),
    [],
  )
  assert.equal(reader!.shown.get('$SYS/broker/clients/maximum'), '3')
  await until(async () => counts(reader!), 'what was removed is not counted')
  for (const { client } of [...readers, publisher]) client.end(true)
})

it('a policy for all nodes together opens no single one', async () => {
  const three = await nodes.start('three', { sysIntervalMs: SYS_INTERVAL_MS })
  const reader = await readerAt(three, 'ops-3', ['$SYS/broker/#'])
  await until(async () => reader.shown.has('$SYS/broker/uptime'), 'there are figures')
  await assert.rejects(reader.client.subscribeAsync('$SYS/brokers/#'))
  await assert.rejects(reader.client.subscribeAsync('$SYS/brokers'))
  assert.deepEqual(
    [...reader.shown.keys()].filter(topic => topic.startsWith('$SYS/brokers')),
    [],
  )
  reader.client.end(true)
})
