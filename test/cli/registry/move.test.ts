// A registry of one machine moves into PostgreSQL by the command line, and the service goes on there as it was.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { OF_BROKERS } from '../../../db/replication/move.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { allRows } from '../../../db/replication/row-capture.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'
import { startService, temporaryDirectory } from '../../provisioning/harness.ts'
import { rollcallHere } from '../in-process.ts'

test('a registry moves with all its rows, once, and its services go on with --registry alone', async () => {
  const server = await startPostgres()
  try {
    using directory = temporaryDirectory()
    const data = directory.path
    const move = (from: string) =>
      rollcallHere('registry', 'move', '--data', from, '--to', server.url, '-o', 'json')
    {
      await using service = await startService({ data })
      await service.enroll('d1')
      assert.equal((await move(data)).code, 1, 'while the service runs')
    }
    const registry = join(data, 'registry.db')
    const before = readFileSync(registry)
    const moved = await move(data)
    assert.equal(moved.code, 0, moved.stderr)
    const { rows, auditRows } = JSON.parse(moved.stdout)
    assert.ok(rows > 20 && auditRows > 5, moved.stdout)
    assert.ok(readFileSync(`${registry}.moved`).equals(before))

    await assert.rejects(startService({ data }), /replica of a registry in PostgreSQL/)
    {
      await using service = await startService({ data, registry: server.url })
      assert.equal((await service.call('GET', '/v1/devices/d1')).status, 200)
      await service.enroll('d2')
      const { body } = await service.call('GET', '/v1/audit/verification')
      assert.equal(body.outcome, 'intact')
      assert.ok(body.rows > auditRows)
    }

    using another = temporaryDirectory()
    await (await startService({ data: another.path }))[Symbol.asyncDispose]()
    const refused = await move(another.path)
    assert.equal(refused.code, 1)
    assert.match(refused.stderr, /holds a registry already/)
    assert.ok(!existsSync(join(another.path, 'registry.db.moved')))
    await (await startService({ data: another.path }))[Symbol.asyncDispose]()
  } finally {
    await server.close()
  }
})

test('a registry comes back out of PostgreSQL with all its rows, and a process that still used it changes nothing', async () => {
  const server = await startPostgres()
  await using open = new AsyncDisposableStack()
  open.defer(server.close)
  using directory = temporaryDirectory()
  const data = directory.path
  const registry = join(data, 'registry.db')
  const move = () => rollcallHere('registry', 'move', '--data', data, '--from', server.url, '-o', 'json')
  {
    await using service = await startService({ data, registry: server.url })
    await service.enroll('d1')
    assert.equal((await move()).code, 1, 'while the service runs')
  }
  const settings = readPostgresSettings(server.url)
  using beside = temporaryDirectory()
  const other = { settings, file: join(beside.path, 'replica.db'), name: 'other', onFailed() {} }
  const shared = await openSharedRegistry(other)
  open.defer(shared.close)
  const writer = createRegistryWriter(shared.registry)
  await writer.addDevice({ id: 'd2', attributes: { site: 'north' }, groups: [] }, tester)
  await server.query(
    "INSERT INTO rollcall.broker_notes (node, version, call, arguments) VALUES ('b', '', '', '')",
  )
  const waiting = await move()
  assert.equal(waiting.code, 1)
  assert.match(waiting.stderr, /notes of brokers wait in PostgreSQL/)
  await server.query('DELETE FROM rollcall.broker_notes')
  await writer.addDevice({ id: 'd3', attributes: {}, groups: [] }, tester)

  await server.query('CREATE SCHEMA rollcall_moved')
  const earlier = await move()
  assert.equal(earlier.code, 1)
  assert.match(earlier.stderr, /has a schema rollcall_moved already/)
  await server.query('DROP SCHEMA rollcall_moved')

  const expected = rowsOf(other.file)
  const moved = await move()
  assert.equal(moved.code, 0, moved.stderr)
  assert.deepEqual(rowsOf(registry), expected)
  const { rows, auditRows } = JSON.parse(moved.stdout)
  assert.equal(rows, expected.length)
  await assert.rejects(writer.addDevice({ id: 'd4', attributes: {}, groups: [] }, tester), {
    code: 'registry_unreachable',
  })
  assert.equal(
    (await server.query('SELECT FROM rollcall_moved.registry_rows WHERE content LIKE \'%"d4"%\'')).length,
    0,
  )

  const again = await move()
  assert.equal(again.code, 1)
  assert.match(again.stderr, /registry\.db\.moved exists already/)
  await assert.rejects(startService({ data, registry: server.url }), /is a registry of its own/)
  await using service = await startService({ data })
  for (const id of ['d1', 'd2', 'd3'])
    assert.equal((await service.call('GET', `/v1/devices/${id}`)).status, 200)
  await service.enroll('d5')
  const { body } = await service.call('GET', '/v1/audit/verification')
  assert.equal(body.outcome, 'intact')
  assert.ok(body.rows > auditRows)
})

/** Without those that brokers note about themselves. */
function rowsOf(file: string): string[] {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return [...allRows(sqlite)]
      .filter(({ table }) => !OF_BROKERS.includes(table))
      .map(({ table, content }) => `${table} ${content}`)
  } finally {
    sqlite.close()
  }
}
