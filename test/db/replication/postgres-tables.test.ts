// Tables in PostgreSQL: each step is taken once, by one process, and what is newer is refused.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { joinCluster, prepareCluster } from '../../../db/cluster/cluster-store.ts'
import {
  connectPostgres,
  type PostgresClient,
  readPostgresSettings,
} from '../../../db/replication/postgres.ts'
import { type PostgresTables, prepareTables } from '../../../db/replication/postgres-tables.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'

let server: PostgresServer
let client: PostgresClient
before(async () => {
  server = await startPostgres()
  client = await connectPostgres(readPostgresSettings(server.url), { name: 'test' })
})
after(async () => {
  await client.end()
  await server.close()
})

const steps = ['CREATE TABLE made.things (n integer)', 'ALTER TABLE made.things ADD m integer', 'SELECT 1']
const tables = (version: number): PostgresTables => ({
  ...{ schema: 'made', steps: steps.slice(0, version), lock: '1' },
})

test('each version takes the steps that are missing, and the one before refuses then', async () => {
  await assert.rejects(prepareTables(client, tables(1), false), { code: 'registry_missing' })
  const froms: number[] = []
  for (const version of [1, 1, 3, 3])
    await prepareTables(client, { ...tables(version), taken: async (_, from) => void froms.push(from) })
  assert.deepEqual(froms, [0, 1])
  await assert.rejects(prepareTables(client, tables(2)), {
    code: 'registry_newer',
    message:
      'the tables in PostgreSQL (schema made) have version 3, this version knows 2: start the version that made them, or a newer one',
  })
  const next = { ...tables(3), steps: [...steps, 'SELECT 1'] }
  await assert.rejects(prepareTables(client, next, false), { code: 'registry_outdated' })
})

test('a version that newer tables name as the oldest they go together with is not refused, and one before it is', async () => {
  const next = (oldest: number): PostgresTables => ({
    ...{ schema: 'kept', steps: ['SELECT 1', 'SELECT 1', 'SELECT 1'], lock: '2', oldest },
  })
  const older = (version: number): PostgresTables => ({ ...next(1), steps: next(1).steps.slice(0, version) })
  const ended: boolean[] = []
  await prepareTables(client, { ...older(1), oldest: 1 })
  await prepareTables(client, {
    ...next(2),
    taken: async (_, from, oldest) => void ended.push(from < oldest),
  })
  assert.deepEqual(ended, [true])
  await prepareTables(client, { ...older(2), oldest: 1 })
  await assert.rejects(prepareTables(client, older(1)), { code: 'registry_newer' })
})

test('a step that fails changes nothing', async () => {
  const failing = { ...tables(3), steps: [...steps, 'DROP TABLE made.things', 'SELECT nothing'] }
  await assert.rejects(prepareTables(client, failing), /nothing/)
  await prepareTables(client, tables(3))
  assert.equal((await server.query('SELECT * FROM made.things')).length, 0)
})

test('tables of broker nodes from before they had a version get it, keep their rows, and are refused once they are newer', async () => {
  await prepareCluster(client)
  const { incarnation } = await joinCluster(client, 'n1')
  await server.query('DROP TABLE rollcall_cluster.schema_version')
  await prepareCluster(client)
  const nodes = await server.query(
    'SELECT incarnation::int AS incarnation, ended FROM rollcall_cluster.nodes',
  )
  assert.deepEqual(nodes, [{ incarnation, ended: false }])
  await server.query('UPDATE rollcall_cluster.schema_version SET version = version + 1, oldest = version + 1')
  await assert.rejects(prepareCluster(client), { code: 'registry_newer' })
})
