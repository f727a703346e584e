// Nodes that are killed, a bus and a database that go away: nothing acknowledged is lost, QoS 2 comes once, order stays, each session has
// one owner, wills are sent once.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { until } from '../../cli/running.ts'
import type { Identity } from '../../harness/authority.ts'
import { incomingStores, type Listening, returningClient } from '../../harness/broker.ts'
import { startNats } from '../../harness/nats.ts'
import { startPublishing } from '../../harness/publishing.ts'
import { clientAt, createNodes, type Nodes, tell } from './nodes.ts'

let nodes: Nodes
let identities: Map<string, Identity>
const device = async (id: string) => {
  const known = identities.get(id) ?? (await nodes.backend(id))
  identities.set(id, known)
  return known
}
let storeOf = incomingStores()
const at = async (node: Listening, id: string, more = {}) =>
  clientAt(node, id, await device(id), { ...storeOf(id), ...more })
const back = async (node: Listening, id: string) => returningClient(node, id, await device(id), storeOf(id))

beforeEach(async () => {
  nodes = await createNodes({ durable: true }) // what PostgreSQL has answered is there after it was killed
  identities = new Map()
  storeOf = incomingStores()
})
afterEach(() => nodes[Symbol.asyncDispose]())

/** Each that was acknowledged is there, in order; of QoS 2 once. */
function assertWhole(seen: readonly string[], acknowledged: readonly string[], isOnce: boolean): void {
  const firsts = [...new Set(seen)]
  const missing = acknowledged.filter(text => !firsts.includes(text))
  assert.deepEqual(
    missing.slice(0, 10),
    [],
    `${missing.length} of ${acknowledged.length} are missing, ${firsts.length} came`,
  )
  const order = firsts.filter(text => acknowledged.includes(text))
  const wrong = order.findIndex((text, place) => text !== acknowledged[place])
  assert.equal(wrong, -1, `order is lost at ${order.slice(Math.max(0, wrong - 3), wrong + 5)}`)
  if (isOnce) {
    const twice = seen.filter((text, place) => seen.indexOf(text) !== place)
    assert.deepEqual(twice.slice(0, 10), [], `${twice.length} came twice`)
  }
}

describe('faults of nodes', () => {
  for (const qos of [1, 2] as const)
    it(`a node is killed: its stored sessions go on at another, without a loss at QoS ${qos}`, async () => {
      const one = await nodes.fork('one')
      const two = await nodes.fork('two')
      const away = await at(one, 'away', { clean: false })
      const here = await at(one, 'here', { clean: false })
      for (const { client } of [away, here]) await client.subscribeAsync('devices/kill/#', { qos })
      await away.client.endAsync()
      const publisher = await at(two, 'publisher')
      const run = startPublishing(publisher.client, 'devices/kill/x', qos)
      await until(async () => here.inbox.all.length >= 50, 'enough have come')
      const seen = here.inbox.all
      await one.kill()
      const killedAt = performance.now()
      const returned = await Promise.all(['away', 'here'].map(id => back(two, id)))
      tell('served by the other node', killedAt)
      await run.stop()
      await publisher.client.publishAsync('devices/kill/x', 'last', { qos })
      for (const { inbox, sessionPresent } of returned) {
        assert.equal(sessionPresent, true)
        await inbox.message('last')
      }
      const [ofAway, ofHere] = returned.map(({ inbox }) => inbox.all.map(({ payload }) => payload)) as [
        string[],
        string[],
      ]
      assertWhole(ofAway, [...run.acknowledged, 'last'], qos === 2)
      assertWhole([...seen.map(({ payload }) => payload), ...ofHere], [...run.acknowledged, 'last'], false)
      for (const { client } of [...returned, publisher]) await client.endAsync()
    })

  it('a node is killed with a publisher: what it acknowledged is at the others, and its wills are sent once', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const three = await nodes.fork('three')
    const readers = [await at(two, 'r2'), await at(three, 'r3', { clean: false })]
    for (const { client } of readers) await client.subscribeAsync('devices/#', { qos: 2 })
    const will = { topic: 'devices/will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const publisher = await at(one, 'publisher', { will })
    const run = startPublishing(publisher.client, 'devices/x', 2)
    await until(async () => run.acknowledged.length >= 50, 'enough have come')
    await one.kill()
    const killedAt = performance.now()
    run.abandon()
    for (const { inbox } of readers) await inbox.message('gone')
    tell('its will was sent', killedAt)
    const again = await at(two, 'publisher')
    await again.client.publishAsync('devices/x', 'last', { qos: 2 })
    for (const { inbox } of readers) {
      await inbox.message('last')
      const payloads = inbox.all.map(({ payload }) => payload)
      assertWhole(
        payloads.filter(text => text !== 'gone'),
        [...run.acknowledged, 'last'],
        true,
      )
      assert.equal(payloads.filter(text => text === 'gone').length, 1)
    }
    for (const { client } of [...readers, again]) await client.endAsync()
  })

  it('a node is killed with members of a shared subscription: what it was to give to them is not lost', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const three = await nodes.fork('three')
    const members = [await at(two, 's2', { clean: false }), await at(three, 's3', { clean: false })]
    for (const { client } of members) await client.subscribeAsync('$share/g/devices/shared', { qos: 2 })
    const publisher = await at(one, 'publisher')
    const run = startPublishing(publisher.client, 'devices/shared', 2)
    await until(async () => members.every(({ inbox }) => inbox.all.length > 20), 'both get some')
    await two.kill()
    const returned = await back(three, 's2')
    const before = run.acknowledged.length
    await until(async () => run.acknowledged.length > before + 20, 'more are sent')
    await run.stop()
    const seen = () => [...members, returned].flatMap(({ inbox }) => inbox.all.map(({ payload }) => payload))
    await until(async () => run.acknowledged.every(text => seen().includes(text)), 'all are with members')
    await publisher.client.endAsync()
  })

  it('all nodes are killed and come back: sessions and what waits for them are there', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const reader = await at(two, 'reader', { clean: false })
    await reader.client.subscribeAsync('devices/all/#', { qos: 2 })
    await reader.client.endAsync()
    const publisher = await at(one, 'publisher')
    const run = startPublishing(publisher.client, 'devices/all/x', 2)
    await until(async () => run.acknowledged.length >= 50, 'enough have come')
    await Promise.all([one.kill(), two.kill()])
    run.abandon()
    const startedAt = performance.now()
    const again = await nodes.fork('one')
    const returned = await back(again, 'reader')
    tell('its session was there again', startedAt)
    assert.equal(returned.sessionPresent, true)
    const other = await at(again, 'publisher')
    await other.client.publishAsync('devices/all/x', 'last', { qos: 2 })
    await returned.inbox.message('last')
    assertWhole(
      returned.inbox.all.map(({ payload }) => payload),
      [...run.acknowledged, 'last'],
      true,
    )
    for (const { client } of [returned, other]) await client.endAsync()
  })

  it('a session whose device lost a right while no node had it has lost its subscription', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const away = await at(one, 'away', { clean: false })
    await away.client.subscribeAsync(['devices/other/x', 'devices/away/x'], { qos: 1 })
    await away.client.endAsync()
    two.signal('SIGSTOP')
    await one.kill()
    await nodes.roll.writer.detachPolicy('backend', 'group', 'backend', { name: 'test', kind: 'local' })
    two.signal('SIGCONT')
    const three = await nodes.fork('three')
    const returned = await back(three, 'away')
    assert.equal(returned.sessionPresent, true)
    const sender = await at(three, 'other')
    await sender.client.publishAsync('devices/other/x', 'secret', { qos: 1 })
    await returned.client.publishAsync('devices/away/x', 'own', { qos: 1 })
    await returned.inbox.message('own')
    assert.deepEqual(
      returned.inbox.all.map(({ payload }) => payload),
      ['own'],
    )
    for (const { client } of [returned, sender]) await client.endAsync()
  })

  it('a node hangs for longer than others wait: it ends, and nothing it writes then counts', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const reader = await at(one, 'reader', { clean: false })
    await reader.client.subscribeAsync('devices/hang', { qos: 2 })
    one.signal('SIGSTOP')
    const returned = await back(two, 'reader')
    assert.equal(returned.sessionPresent, true)
    one.signal('SIGCONT')
    assert.equal(await one.ended, 3)
    const publisher = await at(two, 'publisher')
    await publisher.client.publishAsync('devices/hang', 'x', { qos: 2 })
    await returned.inbox.message('x')
    for (const { client } of [returned, publisher]) await client.endAsync()
  })
})

describe('faults of what nodes stand on', () => {
  it('the bus goes away and comes back: QoS 1 and 2 come all, in order', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const reader = await at(two, 'reader')
    await reader.client.subscribeAsync('devices/bus/#', { qos: 2 })
    const publisher = await at(one, 'publisher')
    const run = startPublishing(publisher.client, 'devices/bus/x', 2)
    await until(async () => reader.inbox.all.length >= 20, 'enough have come')
    const { port } = nodes.nats
    await nodes.nats.stop()
    const awayAt = performance.now()
    const before = run.acknowledged.length
    await until(async () => reader.inbox.all.length > before + 5, 'the log brings them')
    tell('messages came by the log', awayAt)
    await until(async () => run.acknowledged.length > before + 50, 'enough have come')
    await until(async () => reader.inbox.all.length > before + 50, 'enough have come')
    await using again = await startNats('', port)
    assert.equal(again.port, port)
    const then = run.acknowledged.length
    await until(async () => run.acknowledged.length > then + 50, 'enough have come')
    await run.stop()
    await publisher.client.publishAsync('devices/bus/x', 'last', { qos: 2 })
    await reader.inbox.message('last')
    assertWhole(
      reader.inbox.all.map(({ payload }) => payload),
      [...run.acknowledged, 'last'],
      true,
    )
    // Live messages go again, too, and so does taking a session along.
    const moved = await at(one, 'reader2', { clean: false })
    await moved.client.subscribeAsync('devices/bus2', { qos: 1 })
    const there = await back(two, 'reader2')
    assert.equal(there.sessionPresent, true)
    await there.client.endAsync()
    await until(async () => {
      await publisher.client.publishAsync('devices/bus/y', 'live', { qos: 0 })
      return reader.inbox.all.some(({ payload }) => payload === 'live')
    }, 'live messages come')
    for (const { client } of [reader, publisher]) await client.endAsync()
  })

  it('the database is killed and comes back: nothing is acknowledged meanwhile, and nothing lost', async () => {
    const one = await nodes.fork('one')
    const two = await nodes.fork('two')
    const reader = await at(two, 'reader', { clean: false })
    await reader.client.subscribeAsync('devices/db/#', { qos: 2 })
    const publisher = await at(one, 'publisher')
    const run = startPublishing(publisher.client, 'devices/db/x', 2)
    await until(async () => reader.inbox.all.length >= 20, 'enough have come')
    await nodes.postgres.kill()
    const before = run.acknowledged.length
    await setTimeout(300)
    assert.ok(run.acknowledged.length <= before + 1)
    await assert.rejects(at(one, 'new'), /Server unavailable/)
    await nodes.postgres.start()
    const startedAt = performance.now()
    await until(async () => run.acknowledged.length > before + 2, 'it acknowledges again')
    tell('acknowledged again', startedAt)
    await until(async () => run.acknowledged.length > before + 50, 'enough have come')
    await run.stop()
    await publisher.client.publishAsync('devices/db/x', 'last', { qos: 2 })
    await reader.inbox.message('last')
    assertWhole(
      reader.inbox.all.map(({ payload }) => payload),
      [...run.acknowledged, 'last'],
      true,
    )
    for (const { client } of [reader, publisher]) await client.endAsync()
  })
})
