// The rights in PostgreSQL that the documentation gives to brokers are enough for one, and change nothing on the roll.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { joinCluster, prepareCluster } from '../../../db/cluster/cluster-store.ts'
import { createEventLog } from '../../../db/events/event-log.ts'
import { openBrokerReplica } from '../../../db/replication/broker-replica.ts'
import { makeEventTables } from '../../../db/replication/event-tables.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { connectPostgres, readPostgresSettings } from '../../../db/replication/postgres.ts'
import { openSharedEvents } from '../../../db/replication/shared-events.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { until } from '../../harness/until.ts'

test('a broker works with the rights that are documented for it, and cannot write rows', async () => {
  const server = await startPostgres()
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-rights-'))
  const onFailed = (error: unknown) => assert.fail(String(error))
  try {
    const settings = readPostgresSettings(server.url)
    const shared = await openSharedRegistry({
      settings,
      file: join(directory, 'one.db'),
      name: 'one',
      onFailed,
    })
    await makeEventTables({ settings, name: 'one' })
    const page = readFileSync(new URL('../../../docs/several-machines.md', import.meta.url), 'utf8')
    const grants = /```sql\n(GRANT USAGE.*?)```/s.exec(page)?.[1] ?? ''
    await server.query('CREATE ROLE rollcall_broker LOGIN')
    await server.query(grants)

    const asBroker = readPostgresSettings(server.url.replace('//rollcall@', '//rollcall_broker@'))
    const file = join(directory, 'replica.db')
    const broker = await openBrokerReplica({
      ...{ settings: asBroker, file, node: 'b1', version: '1', cutMs: 1_000, onFailed },
    })
    broker.notes.enter('b1', 0, 1)
    await until(async () => (await server.query('SELECT call FROM rollcall.broker_notes')).length === 1)
    await broker.close()
    const events = openSharedEvents({
      ...{
        settings: asBroker,
        name: 'b1',
        file: join(directory, 'events.db'),
        hasMarks: false,
        history: null,
      },
      ...{ now: Date.now, onFailed, onSetAside: assert.fail },
    })
    await events.start()
    const log = createEventLog({
      ...{ file: join(directory, 'events.db'), node: 'b1', shared: true, now: Date.now },
      ...{ onDropped: count => assert.fail(String(count)), onFailed, onSetAside: assert.fail },
    })
    log.append({ at: Date.now(), kind: 'connected' })
    log.close()
    await until(async () => (await server.query('SELECT 1 FROM rollcall_events.batches')).length === 1)
    await events.stop()

    const client = await connectPostgres(asBroker, { name: 'test' })
    for (const statement of [
      'UPDATE rollcall.registry_head SET sequence = 0',
      'DELETE FROM rollcall.registry_rows',
      'DELETE FROM rollcall.broker_notes',
      "INSERT INTO rollcall.shared_files VALUES ('crl', '', '')",
      'DELETE FROM rollcall_events.batches',
      "SELECT rollcall_events.append_read('audit', NULL, 1, 0, '')",
    ])
      await assert.rejects(client.query(statement), /permission denied/, statement)

    // With a bus brokers have a schema of their own, which they fill.
    const forBus = /```sql\n(CREATE SCHEMA.*?)```/s.exec(page)?.[1] ?? ''
    await server.query(forBus)
    await prepareCluster(client)
    await prepareCluster(client)
    assert.equal((await joinCluster(client, 'b1')).slot, 0)
    await client.end()
    await shared.close()
  } finally {
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
