// PostgreSQL fails over to a standby under broker nodes. With a synchronous one they go on and nothing acknowledged is lost. Of one that was
// behind they have what it has not: each of them ends and begins anew with what is there, so that no two tell different things.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { type Group, joinCluster, prepareCluster, writeGroup } from '../../../db/cluster/cluster-store.ts'
import { claimSessions } from '../../../db/cluster/session-claims.ts'
import { connectPostgres } from '../../../db/replication/postgres.ts'
import { until } from '../../cli/running.ts'
import { returningClient } from '../../harness/broker.ts'
import type { Standby } from '../../harness/postgres.ts'
import { startPublishing } from '../../harness/publishing.ts'
import { clientAt, createNodes, type Nodes, tell } from './nodes.ts'

let nodes: Nodes
let standby: Standby
beforeEach(async () => {
  nodes = await createNodes({ durable: true })
})
afterEach(async () => {
  await nodes[Symbol.asyncDispose]()
  await standby?.close()
})

async function failOver(): Promise<number> {
  const began = performance.now()
  await nodes.postgres.kill()
  await standby.promote()
  await standby.moveTo(nodes.postgres.url)
  return began
}

describe('PostgreSQL fails over', () => {
  it('to a synchronous standby: nodes go on, nothing acknowledged is lost, QoS 2 comes once and in order', async () => {
    standby = await nodes.postgres.standby({ synchronous: true })
    // None is to be declared ended here: on a busy machine a second of silence, as tests have it, is nothing.
    const fork = (name: string) => nodes.fork(name, 0, { times: null })
    const [one, two, three] = [await fork('one'), await fork('two'), await fork('three')]
    const identity = await nodes.backend('reader')
    const reader = await clientAt(two, 'reader', identity, { clean: false })
    await reader.client.subscribeAsync('devices/over/#', { qos: 2 })
    const publishers = [
      await clientAt(one, 'p0', await nodes.backend('p0')),
      await clientAt(three, 'p1', await nodes.backend('p1')),
    ]
    const runs = publishers.map(({ client }, at) => startPublishing(client, `devices/over/${at}`, 2))
    const more = () => {
      const before = runs.map(run => run.acknowledged.length)
      return until(async () => runs.every((run, at) => run.acknowledged.length > before[at]! + 10), 'more')
    }
    await more()
    const began = await failOver()
    await more()
    tell('acknowledged again', began)
    await Promise.all(runs.map(run => run.stop()))
    const got = (at: number) =>
      reader.inbox.all.filter(({ topic }) => topic === `devices/over/${at}`).map(({ payload }) => payload)
    await until(
      async () => runs.every((run, at) => got(at).includes(run.acknowledged.at(-1)!)),
      'the last came',
    )
    for (const [at, run] of runs.entries()) assert.deepEqual(got(at), run.acknowledged)
    await reader.client.endAsync()
    const back = await returningClient(three, 'reader', identity)
    assert.equal(back.sessionPresent, true)
    for (const { client } of [back, ...publishers]) client.end(true)
    for (const node of [one, two, three]) assert.doesNotMatch(node.log(), /this node ends/)
  })

  it('to a standby that was behind: nodes that know more than it end, and are the same when they are back', async () => {
    standby = await nodes.postgres.standby()
    const [one, two] = [await nodes.fork('one'), await nodes.fork('two')]
    const identity = await nodes.backend('reader')
    const reader = await clientAt(two, 'reader', identity, { clean: false })
    await reader.client.subscribeAsync('devices/behind', { qos: 1 })
    const publisher = await clientAt(one, 'publisher', await nodes.backend('publisher'))
    await publisher.client.publishAsync('devices/behind', 'kept', { qos: 1, retain: true })
    const stored = () => standby.query('SELECT FROM rollcall_cluster.retained')
    await until(async () => (await stored()).length === 1, 'the standby has it')
    await standby.kill()
    await publisher.client.publishAsync('devices/behind', 'lost', { qos: 1, retain: true })
    await reader.inbox.message('lost')
    await nodes.postgres.kill()
    await standby.start()
    await standby.promote()
    await standby.moveTo(nodes.postgres.url)
    const found = async () => [one, two].every(node => /PostgreSQL has lost/.test(node.log()))
    await until(found, 'both have noticed it')
    assert.deepEqual(await Promise.all([one.ended, two.ended]), [3, 3])
    for (const name of ['one', 'two']) {
      const again = await nodes.fork(name)
      const looker = await clientAt(again, `looker-${name}`, await nodes.backend(`looker-${name}`))
      await looker.client.subscribeAsync('devices/behind', { qos: 1 })
      await looker.inbox.message('kept')
      await looker.client.endAsync()
    }
  })

  it('what a node has done outside its groups is looked for with the next one', async () => {
    const client = await connectPostgres(nodes.cluster.postgres, { name: 'test' })
    await prepareCluster(client)
    const { incarnation: me } = await joinCluster(client, 'one')
    const empty: Group = {
      ...{
        number: 1,
        positions: {},
        clearedEpoch: 0,
        log: [],
        put: [],
        cut: [],
        retained: [],
        unretained: [],
      },
      ...{ ended: [], settled: [], given: [], held: [] },
    }
    await writeGroup(client, me, empty)
    await writeGroup(client, me, empty)
    const { epoch } = (await claimSessions(client, me, ['device'])).get('device')!
    const held = [{ clientId: 'device', epoch }]
    await writeGroup(client, me, { ...empty, number: 2, held })
    await client.query("DELETE FROM rollcall_cluster.sessions WHERE client_id = 'device'")
    const lost = { code: 'RC001', message: /PostgreSQL has lost/ }
    await assert.rejects(writeGroup(client, me, { ...empty, number: 3, held }), lost)
    await assert.rejects(writeGroup(client, me, { ...empty, number: 4 }), lost)
    await assert.rejects(writeGroup(client, me, empty), { code: 'RC001', message: /declared ended/ })
    await client.end()
  })
})
