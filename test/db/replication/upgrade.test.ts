// A registry in PostgreSQL that an earlier version wrote becomes, row by row, what SQLite's own migration makes of it, once; processes of
// the version before change nothing any more.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { FIRST_SCHEMA, migrate, schemaVersion } from '../../../db/migrate.ts'
import { openBrokerReplica } from '../../../db/replication/broker-replica.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import {
  connectPostgres,
  type PostgresSettings,
  readPostgresSettings,
} from '../../../db/replication/postgres.ts'
import { preparePostgresSchema } from '../../../db/replication/postgres-schema.ts'
import { publishFirst } from '../../../db/replication/registry-rows.ts'
import { allRows } from '../../../db/replication/row-capture.ts'
import { upgradeRegistry } from '../../../db/replication/upgrade.ts'
import { openSharedStorage } from '../../../provisioning/shared-storage.ts'
import { makeOlderRegistry } from '../../harness/older-registry.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

let server: PostgresServer
let settings: PostgresSettings
let roll: Roll
let directory: string
before(async () => {
  server = await startPostgres()
  settings = readPostgresSettings(server.url)
  directory = mkdtempSync(join(tmpdir(), 'rollcall-upgrade-'))
  roll = await createRoll()
  const revoked = await roll.enroll('revoked', { groups: ['pumps'] })
  await roll.enroll('active')
  await roll.writer.addDevice({ id: 'labelled', attributes: { site: 'north' }, groups: ['g'] }, tester)
  await roll.writer.addDevice({ id: 'gone', attributes: {}, groups: [] }, tester)
  await roll.writer.setDeviceState('labelled', 'suspended', tester)
  await roll.writer.revokeCertificate(revoked.fingerprint, 'superseded', tester)
})
after(async () => {
  await roll.close()
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

let files = 0
const newFile = () => join(directory, `registry-${++files}.db`)

/** In PostgreSQL as a version of this schema left it, with a deleted row of a table that there is no more. Gives a file of the same rows. */
async function older(schema: number): Promise<string> {
  const file = newFile()
  makeOlderRegistry(join(roll.data, 'registry.db'), file, schema)
  await server.query('DROP SCHEMA IF EXISTS rollcall CASCADE')
  const sqlite = new Sqlite(file, { readonly: true })
  const client = await connectPostgres(settings, { name: 'test' })
  try {
    await preparePostgresSchema(client, true)
    assert.ok(await publishFirst(client, { id: crypto.randomUUID(), writer: 'test', rows: allRows(sqlite) }))
    await client.query("INSERT INTO rollcall.registry_rows VALUES ('of_before', '[1]', false, '[1]', 1)")
    await client.query('UPDATE rollcall.registry_head SET tables_schema = $1', [schema])
  } finally {
    await client.end()
    sqlite.close()
  }
  return file
}

function rowsOf(file: string): string[] {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    assert.deepEqual(sqlite.pragma('foreign_key_check'), [])
    return [...allRows(sqlite)].map(row => `${row.table} ${row.key} ${row.content}`)
  } finally {
    sqlite.close()
  }
}

function migrated(file: string): string[] {
  const copy = newFile()
  copyFileSync(file, copy)
  const sqlite = new Sqlite(copy)
  sqlite.pragma('foreign_keys = ON')
  migrate(sqlite)
  sqlite.close()
  return rowsOf(copy)
}

const head = async () => (await server.query('SELECT * FROM rollcall.registry_head'))[0]!
/** A test that fails leaves none behind, or the run would not end. */
const opened: { close(): Promise<void> }[] = []
afterEach(async () => {
  await Promise.allSettled(opened.splice(0).map(process => process.close()))
})

async function open(name: string, onFailed = (error: unknown) => void assert.fail(String(error))) {
  const file = newFile()
  const shared = await openSharedRegistry({ settings, file, name, onFailed })
  opened.push(shared)
  return { ...shared, file }
}

describe('a registry of an earlier schema', () => {
  for (let schema = FIRST_SCHEMA; schema < schemaVersion; schema += 1)
    test(`(${schema}) has the rows that SQLite's migration gives`, async () => {
      const file = await older(schema)
      const work = newFile()
      assert.deepEqual(await upgradeRegistry({ settings, name: 'new', file: work }), {
        ...{ from: schema, to: schemaVersion, sequence: 2 },
      })
      assert.ok(!existsSync(work))
      assert.equal(await upgradeRegistry({ settings, name: 'new', file: work }), null)
      const shared = await open('new')
      assert.deepEqual(rowsOf(shared.file), migrated(file))
      const writer = createRegistryWriter(shared.registry)
      await writer.addDevice({ id: 'after', attributes: {}, groups: [] }, tester)
      const gone = await server.query('SELECT FROM rollcall.registry_rows WHERE NOT live')
      assert.equal(gone.length, 0)
    })
})

test('rows that are as they were keep their sequence', async () => {
  await older(schemaVersion - 1)
  await upgradeRegistry({ settings, name: 'new', file: newFile() })
  const [counted] = await server.query(
    `SELECT count(*) FILTER (WHERE sequence = 1)::int AS kept, count(*)::int AS rows FROM rollcall.registry_rows
     WHERE table_name = 'audit'`,
  )
  // No migration changes rows of the audit log.
  assert.ok(Number(counted!['kept']) > 0, JSON.stringify(counted))
  assert.equal(counted!['kept'], counted!['rows'])
})

test('a process killed in the middle has changed nothing, and the next one upgrades', async () => {
  const file = await older(10)
  const rows = () => server.query('SELECT * FROM rollcall.registry_rows ORDER BY table_name, key')
  const before = [await head(), await rows()]
  const program = fileURLToPath(new URL('upgrading-process.ts', import.meta.url))
  const child = spawn(process.execPath, [program, server.url, newFile()], { stdio: 'inherit' })
  const [, signal] = await once(child, 'exit')
  assert.equal(signal, 'SIGKILL')
  assert.deepEqual([await head(), await rows()], before)
  const shared = await open('next')
  assert.deepEqual(rowsOf(shared.file), migrated(file))
})

test('of services that start at once, one upgrades', async () => {
  const file = await older(schemaVersion - 3)
  const all = await Promise.all(['one', 'two', 'three'].map(name => open(name)))
  for (const shared of all) assert.deepEqual(rowsOf(shared.file), migrated(file))
  assert.equal((await head())['sequence'], '2')
})

test('a registry that has no rows yet gets those of the version that starts', async () => {
  await older(schemaVersion - 1)
  await server.query('DELETE FROM rollcall.registry_rows')
  await server.query('DELETE FROM rollcall.registry_groups')
  await server.query('UPDATE rollcall.registry_head SET sequence = 0')
  const shared = await open('new')
  const fresh = newFile()
  await closeRegistry(openForWriting(fresh))
  assert.deepEqual(rowsOf(shared.file), rowsOf(fresh))
})

const newer = {
  'the rows': `UPDATE rollcall.registry_head SET tables_schema = ${schemaVersion + 1}`,
  'the tables': 'UPDATE rollcall.schema_version SET version = version + 1',
}
for (const [what, upgrade] of Object.entries(newer))
  test(`while it runs, a process of the version before takes no change once ${what} were upgraded, and hears nothing`, async () => {
    await server.query('DROP SCHEMA IF EXISTS rollcall CASCADE')
    const failures: unknown[] = []
    const onFailed = (error: unknown) => void failures.push(error)
    const service = await open('before', onFailed)
    const writer = createRegistryWriter(service.registry)
    await writer.addDevice({ id: 'd1', attributes: {}, groups: [] }, tester)
    const broker = await openBrokerReplica({
      ...{ settings, file: newFile(), node: 'b1', version: '1', cutMs: 1_000, onFailed },
    })
    opened.push(broker)
    await server.query(upgrade)
    const then = await head()
    await assert.rejects(writer.addDevice({ id: 'd2', attributes: {}, groups: [] }, tester), {
      code: 'registry_newer',
      message: /this version knows \d+: it was upgraded, start the newer version here, too/,
    })
    assert.deepEqual(await head(), then)
    const newerOnes = () => failures.filter(error => (error as { code?: string }).code === 'registry_newer')
    await until(() => newerOnes().length >= 2)
    const age = broker.ageMs()
    await until(() => broker.ageMs() > age + 500)
    await assert.rejects(open('restarted'), { code: 'registry_newer' })
  })

test('a service of the version before gives up the lease, so that one of the new version has it', async () => {
  await server.query('DROP SCHEMA IF EXISTS rollcall CASCADE')
  await using open = new AsyncDisposableStack()
  const ignored = () => {}
  const { shared } = await openSharedStorage(
    { url: server.url, passwordFile: null, file: newFile(), node: 'before' },
    open,
    {
      ...{ registryBehind: ignored, registryUpgraded: ignored, leaseChanged: ignored },
      ...{ brokerNoteFailed: ignored, registryNotPruned: ignored },
    },
  )
  await until(() => shared.lease.held())
  await server.query(newer['the rows'])
  await until(() => !shared.lease.held())
  const locks = () => server.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted")
  await until(async () => (await locks()).length === 0)
})

test('a broker of a newer version waits for the upgrade', async () => {
  await older(schemaVersion - 1)
  const options = { settings, node: 'b1', version: '1', cutMs: 1_000, onFailed() {} }
  await assert.rejects(openBrokerReplica({ ...options, file: newFile() }), {
    code: 'registry_outdated',
    message: /start a provisioning service of this version, which upgrades it/,
  })
  await upgradeRegistry({ settings, name: 'new', file: newFile() })
  await (await openBrokerReplica({ ...options, file: newFile() })).close()
})
