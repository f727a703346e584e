// A commit whose wait for the synchronous standby somebody cancelled is answered by PostgreSQL as done. Nothing counts as done by that.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { isAnswer } from '../../../db/replication/postgres-answers.ts'
import { createPostgresLink } from '../../../db/replication/postgres-link.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { until } from '../../harness/until.ts'

const INSERT = 'INSERT INTO t VALUES (1)'
let server: PostgresServer
before(async () => {
  server = await startPostgres({ durable: true })
  await server.query('CREATE TABLE t (n int)')
  await server.query("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
  await server.query('SELECT pg_reload_conf()')
})
after(() => server.close())

/** Those of the application that wait for the standby. */
async function cancelWaits(name: string): Promise<void> {
  const sql = `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = '${name}' AND wait_event = 'SyncRep'`
  await until(async () => (await server.query(sql)).length > 0)
}

test('a group of a broker and a change of the registry are not done, and their connections are given up', async () => {
  const settings = readPostgresSettings(server.url)
  const connections = createClusterConnections(settings, 'groups', 1)
  const link = createPostgresLink({ settings, name: 'registry' })
  for (const [name, ask] of [
    ['groups', connections.ask],
    ['registry', link.ask],
  ] as const) {
    const backend = () =>
      ask(async client => (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid)
    const first = await backend()
    const asked = ask(client => client.query(INSERT))
    const refused = assert.rejects(asked, error => {
      assert.match(String(error), /synchronous standby/)
      return !isAnswer(error)
    })
    await cancelWaits(name)
    await refused
    assert.notEqual(await backend(), first)
  }
  await connections.close()
  link.close()
})
