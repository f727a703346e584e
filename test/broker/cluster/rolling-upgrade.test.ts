// Nodes of one version replaced by those of the next, one by one, while devices publish: each old one is drained, its devices go on at others,
// and nothing acknowledged is lost. What does not go together is refused at its start.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import mqtt from 'mqtt'
import { readBusAddress } from '../../../broker/bus/address.ts'
import { openCluster } from '../../../broker/mqtt/cluster/index.ts'
import { FORMATS } from '../../../db/cluster/formats.ts'
import { prepareNodes } from '../../../db/nodes/node-reader.ts'
import { openSessionFile } from '../../../db/sessions/session-file.ts'
import { until } from '../../cli/running.ts'
import { openInbox } from '../../harness/inbox.ts'
import { startPublishing } from '../../harness/publishing.ts'
import { tester } from '../../harness/roll.ts'
import { incompatibleTables, nextVersion, versionAfterNext } from './next-version.ts'
import { createNodes, type NodeProcess, type Nodes } from './nodes.ts'

let nodes: Nodes
beforeEach(async () => {
  nodes = await createNodes()
})
afterEach(() => nodes[Symbol.asyncDispose]())

/** A client that comes back to whichever node it is told, with its session. */
async function roaming(id: string, at: NodeProcess) {
  const { certificate, key } = await nodes.backend(id)
  const servers = [{ host: '127.0.0.1', port: at.broker.port, protocol: 'mqtts' as const }]
  const client = await mqtt.connectAsync({
    ...{ protocol: 'mqtts', servers, clientId: id, clean: false, reconnectPeriod: 50, protocolVersion: 5 },
    reconnectOnConnackError: true,
    ...{ cert: certificate, key, ca: nodes.roll.root.certificate, servername: 'localhost' },
    properties: { sessionExpiryInterval: 3_600 },
  })
  client.on('error', () => {})
  return {
    client,
    inbox: openInbox(client),
    goTo(node: NodeProcess): void {
      servers[0]!.port = node.broker.port
    },
  }
}

const formatOf = async () =>
  (await nodes.postgres.query('SELECT format FROM rollcall_cluster.cluster'))[0]!['format']

/** Why a node of such a version does not start; null where it does. Either way it leaves nothing open. */
async function refusal(
  versions: typeof nextVersion | undefined,
  bus = nodes.cluster.bus,
): Promise<string | null> {
  const options = {
    ...{ ...nodes.cluster, bus },
    ...{ name: 'tried', versions },
    ...{ clearedAfter: () => [], pastTakeovers: () => ({ takeovers: [], toldAgoMs: null }) },
    ...{ takeInTakeovers() {}, onTrouble() {}, onCommitted() {}, onEnded() {} },
  }
  const refused = await openCluster(openSessionFile(null), options).then(
    async cluster => {
      await cluster.close()
      return null
    },
    (error: Error) => error.message,
  )
  const connections = "SELECT FROM pg_stat_activity WHERE application_name = 'rollcall broker tried'"
  await until(async () => (await nodes.postgres.query(connections)).length === 0, 'it has no connection left')
  return refused
}

describe('nodes of two versions on one bus', () => {
  it('go together while one after the other is drained and replaced, and nothing acknowledged is lost', async () => {
    const drained = (name: string) =>
      prepareNodes(nodes.roll.registry.sqlite)(Date.now()).find(({ node }) => node === name)?.drain?.finished
    let old = [await nodes.fork('old-1'), await nodes.fork('old-2')]
    const clients = await Promise.all(['p1', 'p2', 's1', 's2'].map((id, n) => roaming(id, old[n % 2]!)))
    const [one, two, ...subscribers] = clients as [
      (typeof clients)[0],
      (typeof clients)[0],
      ...typeof clients,
    ]
    for (const { client } of subscribers) await client.subscribeAsync('devices/upgrade/#', { qos: 2 })
    const runs = [
      startPublishing(one.client, 'devices/upgrade/1', 1),
      startPublishing(two.client, 'devices/upgrade/2', 2),
    ]
    const young: NodeProcess[] = []
    while (old.length > 0) {
      const [node, ...rest] = old as [NodeProcess, ...NodeProcess[]]
      young.push(await nodes.fork(`new-${young.length}`, 0, { isNext: true }))
      assert.equal(await formatOf(), FORMATS.newest, 'all write what each of them knows')
      const others = [...rest, ...young]
      for (const [n, each] of clients.entries()) each.goTo(others[n % others.length]!)
      await nodes.roll.writer.drainNode(node.name, { overMs: 0, moved: false, serverReference: '' }, tester)
      await until(() => drained(node.name) === true, 'it has no session any more')
      const before = runs.map(({ acknowledged }) => acknowledged.length)
      await until(
        () => runs.every(({ acknowledged }, n) => acknowledged.length > before[n]! + 5),
        'both go on at other nodes',
      )
      await node.close()
      old = rest
    }
    await until(async () => (await formatOf()) === nextVersion.formats.newest, 'all write the next format')
    const length = runs.map(({ acknowledged }) => acknowledged.length)
    await until(
      () => runs.every(({ acknowledged }, n) => acknowledged.length > length[n]! + 20),
      'they go on',
    )
    await Promise.all(runs.map(run => run.stop()))
    for (const { client, inbox } of subscribers) {
      await until(() => client.connected, 'it is connected')
      for (const [n, { acknowledged }] of runs.entries()) {
        const topic = `devices/upgrade/${n + 1}`
        const seen = () => inbox.all.filter(message => message.topic === topic).map(({ payload }) => payload)
        await until(() => seen().includes(acknowledged.at(-1)!), 'the last one has come')
        assert.deepEqual([...new Set(seen())], acknowledged)
        if (n === 1) assert.equal(seen().length, acknowledged.length, 'QoS 2 once')
      }
    }
    assert.match(
      (await refusal(undefined)) ?? '',
      /write format 2, which this version does not know \(it knows 1\): start a newer version/,
    )
    for (const { client } of clients) client.end(true)
  })

  it('are refused at their start where they do not go together, and those that run go on', async () => {
    const node = await nodes.fork('one')
    const { client } = await roaming('p1', node)
    assert.match(
      (await refusal(versionAfterNext)) ?? '',
      /write format 1, which this version does not know any more \(it knows 2 to 3\): bring all brokers to a version between first/,
    )
    await client.publishAsync('devices/p1', 'x', { qos: 1 })
    assert.equal(await refusal(nextVersion), null)
    // The tables have the step of the next version: this one goes on, and may start.
    await client.publishAsync('devices/p1', 'x', { qos: 1 })
    assert.equal(await refusal(undefined), null)
    assert.equal(await formatOf(), 1)
    client.end(true)
  })

  it('leave the others at once where they do not reach the bus', async () => {
    await nodes.fork('one')
    const nowhere = readBusAddress('nats://127.0.0.1:1')
    assert.match((await refusal(undefined, nowhere)) ?? '', /the bus at .* cannot be reached/)
    const living = await nodes.postgres.query('SELECT name FROM rollcall_cluster.nodes WHERE NOT ended')
    assert.deepEqual(living, [{ name: 'one' }])
  })

  it('end where the next one has tables that they do not go together with', async () => {
    const node = await nodes.fork('one')
    assert.equal(await refusal(incompatibleTables), null)
    assert.equal(await node.ended, 3)
    assert.match(
      (await refusal(undefined)) ?? '',
      /have version \d+, this version knows \d+: start the version that made them/,
    )
  })
})
