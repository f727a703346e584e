// Claims of sessions that come together: one statement for those that wait, and each has an owner of its own at the end.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createGathering } from '../../../broker/mqtt/cluster/gathering.ts'
import { type ClusterConnections, createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import {
  joinCluster,
  leaveCluster,
  prepareCluster,
  readHandedOver,
  readStoredGroups,
  writeGroup,
} from '../../../db/cluster/cluster-store.ts'
import { claimSessions } from '../../../db/cluster/session-claims.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'

describe('claims that are gathered', () => {
  it('go together where they came while others were under way', async () => {
    const batches: string[][] = []
    const answers: (() => void)[] = []
    const claim = createGathering({
      atOnce: 500,
      async ask(clientIds) {
        batches.push([...clientIds])
        await new Promise<void>(resolve => answers.push(resolve))
        return new Map(clientIds.map(clientId => [clientId, `${clientId} is claimed`]))
      },
      isOfOne: () => true,
    })
    const all = Promise.all(['a', 'b', 'c'].map(claim))
    assert.deepEqual(batches, [['a']])
    answers[0]!()
    await new Promise(setImmediate)
    answers[1]!()
    assert.deepEqual(await all, ['a is claimed', 'b is claimed', 'c is claimed'])
    assert.deepEqual(batches, [['a'], ['b', 'c']])
  })

  it('fail one by one where PostgreSQL refused them, and all where it did not answer', async () => {
    for (const answered of [true, false]) {
      const claim = createGathering({
        atOnce: 500,
        async ask(clientIds) {
          await new Promise(setImmediate)
          if (clientIds.includes('bad')) throw new Error('no')
          return new Map(clientIds.map(clientId => [clientId, clientId]))
        },
        isOfOne: () => answered,
      })
      const outcomes = await Promise.allSettled(['first', 'good', 'bad', 'better'].map(claim))
      const kept = outcomes.map(({ status }) => status === 'fulfilled')
      assert.deepEqual(kept, answered ? [true, true, false, true] : [true, false, false, false])
    }
  })
})

describe('claims in PostgreSQL', () => {
  let postgres: PostgresServer
  let connections: ClusterConnections
  before(async () => {
    postgres = await startPostgres()
    connections = createClusterConnections(readPostgresSettings(postgres.url), 'claims', 4)
    await connections.ask(prepareCluster)
  })
  after(async () => {
    await connections?.close()
    await postgres?.close()
  })
  const join = async (name: string) =>
    (await connections.ask(client => joinCluster(client, name))).incarnation
  const claim = (me: number, clientIds: readonly string[]) =>
    connections.ask(client => claimSessions(client, me, clientIds))

  it('give each session one owner, in whatever order nodes ask for many at once', async () => {
    const [one, two] = [await join('one'), await join('two')]
    for (let round = 0; round < 3; round += 1) {
      const ids = Array.from({ length: 5_000 }, (_, n) => `r${round}-${n}`)
      const [ofOne, ofTwo] = await Promise.all([claim(one, ids), claim(two, ids.toReversed())])
      for (const id of ids) {
        assert.equal(ofOne.get(id)!.owner, ofTwo.get(id)!.owner)
        assert.notEqual(ofOne.get(id)!.isNew, ofTwo.get(id)!.isNew)
      }
    }
  })

  it('give each session of a node that has ended to one of those that ask, with what that node had taken', async () => {
    const [gone, one, two] = [await join('gone'), await join('left'), await join('right')]
    const ids = Array.from({ length: 2_000 }, (_, n) => `o${n}`)
    await claim(gone, ids)
    assert.equal((await claim(one, ids)).get('o0')!.owner, gone)
    await connections.ask(client =>
      client.query('UPDATE rollcall_cluster.nodes SET positions = \'{"7": 70}\' WHERE incarnation = $1', [
        gone,
      ]),
    )
    await connections.ask(client => leaveCluster(client, gone))
    await Promise.all([claim(one, ids), claim(two, ids.toReversed())])
    const [left, right] = await Promise.all(
      [one, two].map(node => connections.ask(client => readHandedOver(client, node, ids))),
    )
    assert.deepEqual([...left!, ...right!].map(({ clientId }) => clientId).toSorted(), ids.toSorted())
    for (const { epoch, positions } of [...left!, ...right!])
      assert.deepEqual({ epoch, positions }, { epoch: 2, positions: { 7: 70 } })
  })

  it('leave the groups known that a node has members of, also once it has ended', async () => {
    const node = await join('with members')
    const { epoch } = (await claim(node, ['member'])).get('member')!
    const subscription = { kind: 'subscription', key: 0, content: '{}', payload: null, properties: null }
    await connections.ask(client =>
      writeGroup(client, node, {
        ...{ number: 1, positions: {}, clearedEpoch: 0, log: [], cut: [], retained: [], unretained: [] },
        ...{ ended: [], settled: [], given: [], held: [] },
        put: ['$share/g/a', 'b'].map(name => ({ ...subscription, clientId: 'member', epoch, name })),
      }),
    )
    const groups = ['$share/g/a']
    assert.deepEqual(await connections.ask(readStoredGroups), [{ node, hasEnded: false, groups }])
    await connections.ask(client => leaveCluster(client, node))
    assert.deepEqual(await connections.ask(readStoredGroups), [{ node, hasEnded: true, groups }])
  })

  it('are refused to a node that was declared ended, and no error of one is taken for a lost connection', async () => {
    const ended = await join('ended')
    await connections.ask(client => leaveCluster(client, ended))
    await assert.rejects(claim(ended, ['x', 'y']), /was declared ended/)
    const three = await join('three')
    const gathered = createGathering({
      ask: clientIds => claim(three, clientIds),
      isOfOne: isAnswer,
      atOnce: 500,
    })
    const outcomes = await Promise.allSettled(['g1', 'g2', 'g\0', 'g4'].map(gathered))
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    )
  })
})
