// A session whose content in PostgreSQL cannot be taken in, as after a fault there: the others of its node go on, and it is told once.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, it } from 'node:test'
import { createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import type { Identity } from '../../harness/authority.ts'
import { returningClient } from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type NodeProcess, type Nodes } from './nodes.ts'

let nodes: Nodes
beforeEach(async () => {
  nodes = await createNodes()
})
afterEach(() => nodes[Symbol.asyncDispose]())

it('a session that cannot be taken in holds back no other one, and ends of nodes are noticed all the same', async () => {
  const store = async (node: NodeProcess, name: string): Promise<Identity> => {
    const identity = await nodes.backend(name)
    const { client } = await clientAt(node, name, identity, { clean: false })
    await client.subscribeAsync(`devices/${name}`, { qos: 1 })
    await client.endAsync()
    return identity
  }
  const assertIsThere = async (name: string, identity: Identity): Promise<void> => {
    const { client, sessionPresent } = await returningClient(survivor, name, identity)
    assert.equal(sessionPresent, true, name)
    await client.endAsync()
  }
  const survivor = await nodes.fork('survivor')
  const one = await nodes.fork('one')
  await store(one, 'bad')
  const good = await store(one, 'good')
  const connections = createClusterConnections(nodes.cluster.postgres, 'test', 1)
  const damage = `UPDATE rollcall_cluster.session_rows SET content = '{}' WHERE client_id = 'bad' AND kind = 'subscription'`
  await connections.ask(client => client.query(damage))
  await connections.close()
  await one.kill()
  await assertIsThere('good', good)
  const told = () =>
    survivor.log().match(/the session of bad cannot be taken in: Missing named parameter/g) ?? []
  await until(() => told().length > 0)
  const two = await nodes.fork('two')
  const later = await store(two, 'later')
  await two.kill()
  await assertIsThere('later', later)
  assert.equal(told().length, 1)
  assert.doesNotMatch(survivor.log(), /takes no writes/)
})
