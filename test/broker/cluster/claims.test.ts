// Claims of sessions that come together: one statement for those that wait, and each has an owner of its own at the end.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createClaims } from '../../../broker/mqtt/cluster/claims.ts'
import { type ClusterConnections, createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import { joinCluster, leaveCluster, prepareCluster } from '../../../db/cluster/cluster-store.ts'
import { claimSessions } from '../../../db/cluster/session-claims.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'

describe('claims that are gathered', () => {
  it('go together where they came while others were under way', async () => {
    const batches: string[][] = []
    const answers: (() => void)[] = []
    const claim = createClaims({
      async claim(clientIds) {
        batches.push([...clientIds])
        await new Promise<void>(resolve => answers.push(resolve))
        return new Map(clientIds.map(clientId => [clientId, `${clientId} is claimed`]))
      },
      isAnswer: () => true,
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
      const claim = createClaims({
        async claim(clientIds) {
          await new Promise(setImmediate)
          if (clientIds.includes('bad')) throw new Error('no')
          return new Map(clientIds.map(clientId => [clientId, clientId]))
        },
        isAnswer: () => answered,
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

  it('are refused to a node that was declared ended, and no error of one is taken for a lost connection', async () => {
    const ended = await join('ended')
    await connections.ask(client => leaveCluster(client, ended))
    await assert.rejects(claim(ended, ['x', 'y']), /was declared ended/)
    const three = await join('three')
    const gathered = createClaims({ claim: clientIds => claim(three, clientIds), isAnswer })
    const outcomes = await Promise.allSettled(['g1', 'g2', 'g\0', 'g4'].map(gathered))
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    )
  })
})
