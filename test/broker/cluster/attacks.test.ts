// What a device, a client of the bus without a node behind it, and an owner before can do to nodes: nothing that lasts.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { writeGroup } from '../../../db/cluster/cluster-store.ts'
import { connectPostgres } from '../../../db/replication/postgres.ts'
import { returningClient, type TestBroker } from '../../harness/broker.ts'
import { until } from '../../harness/until.ts'
import { clientAt, createNodes, type Nodes } from './nodes.ts'

/** In three octets each more than a row of an index of PostgreSQL holds, and nothing makes them shorter. */
const LETTERS = 1_000

let nodes: Nodes
let one: TestBroker
let two: TestBroker
let bus: NatsConnection
let prefix: string

before(async () => {
  nodes = await createNodes()
  one = await nodes.start('one')
  two = await nodes.start('two')
  bus = await connect({ servers: `127.0.0.1:${nodes.nats.port}` })
  const [cluster] = await nodes.postgres.query('SELECT id FROM rollcall_cluster.cluster')
  prefix = `rollcall.${cluster!['id']}`
})
after(async () => {
  await bus?.close()
  await nodes[Symbol.asyncDispose]()
})

const incarnationOf = async (name: string): Promise<number> => {
  const [row] = await nodes.postgres.query(
    'SELECT incarnation::int AS n FROM rollcall_cluster.nodes WHERE name = $1 AND NOT ended',
    [name],
  )
  return row!['n'] as number
}

describe('attacks on nodes', () => {
  it('a device uses the longest topics and filters of the letters that take most octets: nobody waits for it', async () => {
    const hostile = await clientAt(one, 'hostile', await nodes.roll.enroll('hostile'), { clean: false })
    const letters = Array.from({ length: LETTERS }, (_, n) =>
      String.fromCodePoint(0x4e00 + ((n * 7_919) % 20_000)),
    ).join('')
    const topic = `devices/hostile/${letters}`
    hostile.client.publish(topic, 'x', { qos: 1, retain: true })
    hostile.client.subscribe(`${topic.slice(0, -2)}/#`, { qos: 1 })
    const other = await clientAt(one, 'other', await nodes.backend('other'))
    const asked = other.client.publishAsync('devices/other', 'x', { qos: 1 })
    const late = new Promise((_, reject) =>
      setTimeout(() => reject(new Error('nothing is written')), 5_000).unref(),
    )
    await Promise.race([asked, late])
    for (const { client } of [hostile, other]) client.end(true)
  })

  it('a client of the bus says what is none of what nodes say: nodes go on', async () => {
    const me = await incarnationOf('one')
    const texts = [
      ...['', '{', 'null', '[]', '{"kind":"digest","from":1,"first":1,"entries":[[1]]}'],
      ...[
        '{"kind":"groups","from":1,"startsAnew":true,"joined":[null],"left":[]}',
        '{"kind":"hello","from":-1}',
        '\u0000\u00ff',
      ],
      ...['{"kind":"digest","from":1e300,"first":1,"entries":[]}', '{"clientId":{},"to":1}'],
    ]
    for (const text of texts)
      for (const subject of [`${prefix}.c`, `${prefix}.n.${me}`, `${prefix}.m.devices.x`])
        bus.publish(subject, text)
    await bus.flush()
    const reader = await clientAt(one, 'reader', await nodes.backend('reader'))
    await reader.client.subscribeAsync('devices/bus', { qos: 1 })
    const sender = await clientAt(two, 'sender', await nodes.backend('sender'))
    await sender.client.publishAsync('devices/bus', 'there', { qos: 1 })
    await reader.inbox.message('there')
    for (const { client } of [reader, sender]) await client.endAsync()
  })

  it('a session that is asked for by a node that is not there stays with its device', async () => {
    const identity = await nodes.backend('asked')
    const first = await clientAt(one, 'asked', identity, { clean: false })
    await first.client.subscribeAsync('devices/asked/x', { qos: 1 })
    const asked = JSON.stringify({ clientId: 'asked', to: 999_999 })
    await bus.request(`${prefix}.n.${await incarnationOf('one')}`, asked, { timeout: 5_000 })
    first.client.end(true)
    const sender = await clientAt(two, 'asker', await nodes.backend('asker'))
    await sender.client.publishAsync('devices/asked/x', 'there', { qos: 1 })
    const back = await returningClient(two, 'asked', identity)
    assert.equal(back.sessionPresent, true)
    await back.inbox.message('there')
    for (const { client } of [back, sender]) await client.endAsync()
  })

  it('what an owner before writes of a session, and anybody under an ended life, does not count', async () => {
    const identity = await nodes.backend('fenced')
    const first = await clientAt(one, 'fenced', identity, { clean: false })
    await first.client.subscribeAsync('devices/fenced/x', { qos: 1 })
    const before = await incarnationOf('one')
    const back = await returningClient(two, 'fenced', identity)
    const client = await connectPostgres(nodes.cluster.postgres, { name: 'test' })
    const rows = () =>
      nodes.postgres.query(
        "SELECT kind, name, content FROM rollcall_cluster.session_rows WHERE client_id = 'fenced' ORDER BY 1, 2",
      )
    await until(async () => (await rows()).some(({ kind }) => kind === 'subscription'))
    const kept = await rows()
    const row = { clientId: 'fenced', kind: 'subscription', key: 0, name: 'devices/fenced/x' }
    const [state] = await nodes.postgres.query(
      'SELECT positions FROM rollcall_cluster.nodes WHERE incarnation = $1',
      [before],
    )
    const group = (number: number, epoch: number) => ({
      ...{ number, positions: state!['positions'] as never, clearedEpoch: 0, held: [] },
      ...{ log: [], retained: [], unretained: [], settled: ['fenced'] },
      put: [{ ...row, epoch, content: '{"stolen":1}', payload: null, properties: null }],
      cut: [{ ...row, epoch }],
      ended: [{ clientId: 'fenced', epoch }],
      given: [{ clientId: 'fenced', to: before, positions: {} }],
    })
    for (const epoch of [1, 2, 3]) {
      await client.query('BEGIN')
      const { rows: nodes } = await client.query(
        'SELECT last_group::int AS last FROM rollcall_cluster.nodes WHERE incarnation = $1 FOR UPDATE',
        [before],
      )
      await writeGroup(client, before, group(nodes[0].last + 1, epoch))
      assert.deepEqual(await rows(), kept)
      await client.query('ROLLBACK')
    }
    await assert.rejects(writeGroup(client, 999_999, group(1, 1)), { code: 'RC001' })
    assert.deepEqual(await rows(), kept)
    await client.end()
    await back.client.endAsync()
  })
})
