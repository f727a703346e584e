// Shared subscriptions of which the publisher's node does not know where their members are: for the bus was away, or their node was killed
// and no other one has their sessions yet. What is published is for them all the same.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import type { Identity } from '../../harness/authority.ts'
import { type Listening, returningClient } from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type NodeProcess, type Nodes } from './nodes.ts'

const TOPIC = 'devices/shared'
const TEXTS = Array.from({ length: 20 }, (_, n) => String(n))
let nodes: Nodes
let reader: Identity

beforeEach(async () => {
  nodes = await createNodes()
  reader = await nodes.backend('reader')
})
afterEach(() => nodes[Symbol.asyncDispose]())

async function storedMemberAt(node: NodeProcess): Promise<void> {
  const { client } = await clientAt(node, 'reader', reader, { clean: false })
  await client.subscribeAsync(`$share/g/${TOPIC}`, { qos: 1 })
  await client.endAsync()
}

async function publishAt(node: Listening, qos: 1 | 2 = 1): Promise<void> {
  const id = `publisher-${node.broker.port}`
  const { client } = await clientAt(node, id, await nodes.backend(id))
  for (const text of TEXTS) await client.publishAsync(TOPIC, text, { qos })
  await client.endAsync()
}

async function assertAllCome(node: Listening): Promise<void> {
  const { client, inbox } = await returningClient(node, 'reader', reader)
  await until(() => inbox.all.length >= TEXTS.length)
  // What was given to the ended node comes behind later ones.
  assert.deepEqual(inbox.all.map(({ payload }) => payload).toSorted(), TEXTS.toSorted())
  await client.endAsync()
}

describe('a shared subscription whose members came while the bus was away', () => {
  it('gets what is published at another node, once', async () => {
    const [one, two] = await Promise.all([nodes.fork('one'), nodes.fork('two')])
    const { client, inbox } = await clientAt(one, 'reader', reader)
    const stored = await clientAt(one, 'stored', await nodes.backend('stored'), { clean: false })
    await nodes.nats.stop()
    for (const member of [client, stored.client]) await member.subscribeAsync(`$share/g/${TOPIC}`, { qos: 2 })
    await publishAt(two, 2)
    const all = () => [...inbox.all, ...stored.inbox.all].map(({ payload }) => payload)
    await until(() => all().length >= TEXTS.length)
    await publishAt(one, 2) // no more of those before
    await until(() => all().length >= 2 * TEXTS.length)
    assert.deepEqual(all().toSorted(), [...TEXTS, ...TEXTS].toSorted())
    for (const each of [client, stored.client]) await each.endAsync()
  })
})

describe('a shared subscription whose member was at a killed node', () => {
  it('is known to a node that starts before the killed one was declared ended', async () => {
    const one = await nodes.fork('one')
    await storedMemberAt(one)
    await one.kill()
    const two = await nodes.fork('two', 0, { times: { everyMs: 200, silentMs: 3_000 } })
    await publishAt(two)
    await assertAllCome(two)
  })

  it('gets what is published after the killed one was declared ended and before its session is with another', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    await storedMemberAt(one)
    const connections = createClusterConnections(nodes.cluster.postgres, 'test', 2)
    const held = Promise.withResolvers<void>()
    const isLocked = Promise.withResolvers<void>()
    // A session that is locked is left for the next look.
    const locking = connections.ask(async client => {
      await client.query('BEGIN')
      await client.query(`SELECT FROM rollcall_cluster.sessions WHERE client_id = 'reader' FOR UPDATE`)
      isLocked.resolve()
      await held.promise
      await client.query('ROLLBACK')
    })
    await isLocked.promise
    await one.kill()
    const hasEnded = async () => {
      const sql = `SELECT ended FROM rollcall_cluster.nodes WHERE name = 'one'`
      const { rows } = await connections.ask(client => client.query(sql))
      return rows[0]?.['ended'] === true
    }
    await until(hasEnded)
    await publishAt(two)
    held.resolve()
    await locking
    await connections.close()
    await assertAllCome(two)
  })
})
