// A row that PostgreSQL does not take, by a constraint of the test, or that a replica cannot write: it holds up no other change, and a
// replica that cannot follow says so.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry, type SharedRegistry } from '../../../db/replication/index.ts'
import { createNoteForwarder } from '../../../db/replication/note-forwarder.ts'
import { startNoteRunner } from '../../../db/replication/note-runner.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { startReplica } from '../../../db/replication/replica.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

let server: PostgresServer
let directory: string
let shared: SharedRegistry
const closing: (() => Promise<void>)[] = []
before(async () => {
  server = await startPostgres()
  directory = mkdtempSync(join(tmpdir(), 'rollcall-refused-'))
  shared = await openSharedRegistry({
    ...{ settings: readPostgresSettings(server.url), file: join(directory, 'one.db'), name: 'one' },
    onFailed() {},
  })
  await server.query(`ALTER TABLE rollcall.registry_rows ADD CHECK (content NOT LIKE '%poison%')`)
  await server.query(`ALTER TABLE rollcall.broker_notes ADD CHECK (arguments NOT LIKE '%unsendable%')`)
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})
after(async () => {
  await shared.close()
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

test('a change with such a row is refused, those that came with it are made', async () => {
  const writer = createRegistryWriter(shared.registry)
  const ids = ['a1', 'poison', 'a2', 'a3', 'poison-2', 'a4']
  const made = await Promise.allSettled(
    ids.map(id => writer.addDevice({ id, attributes: {}, groups: [] }, tester)),
  )
  const codes = made.map(each => (each.status === 'rejected' ? each.reason.code : 'made'))
  assert.deepEqual(codes, ['made', 'registry_refused', 'made', 'made', 'registry_refused', 'made'])
  const found = shared.registry.sqlite.prepare('SELECT id FROM devices ORDER BY id').pluck().all()
  assert.deepEqual(found, ['a1', 'a2', 'a3', 'a4'])
})

test('a note of a broker that leads to such a row, or is one, is dropped and named; all others are written', async () => {
  const settings = readPostgresSettings(server.url)
  const failures: string[] = []
  const onFailed = (error: unknown) => void failures.push(String(error))
  const forwarder = createNoteForwarder({ settings, node: 'b1', version: '1', onFailed })
  closing.push(() => forwarder.close(0))
  const runner = startNoteRunner({
    ...{ settings, name: 'one', registry: shared.registry, endNotes: shared.agreement.endNotes },
    ...{ leads: () => true, onFailed },
  })
  closing.push(runner.stop)
  const names = ['n1', 'poison-node', 'n2', 'unsendable', 'n3', 'unsendable-2', 'n4']
  for (const name of names) forwarder.notes.enter(name, 0, 1)
  const entered = shared.registry.sqlite.prepare('SELECT id FROM nodes ORDER BY id').pluck()
  await until(() => entered.all().length === 4)
  assert.deepEqual(entered.all(), ['n1', 'n2', 'n3', 'n4'])
  await until(async () => (await server.query('SELECT 1 FROM rollcall.broker_notes')).length === 0)
  assert.ok(failures.some(text => text.includes('refuses a row of this change')))
  assert.ok(failures.some(text => text.includes('broker_notes')))
})

test('a replica that cannot write a row names it and is not in step until it can', async () => {
  const settings = readPostgresSettings(server.url)
  const replica = await startReplica({
    ...{ settings, file: join(directory, 'follower.db'), name: 'follower', everyMs: 20 },
    onFailed() {},
  })
  closing.push(replica.stop)
  assert.equal(replica.trouble(), null)
  const rows: [string, string, RegExp][] = [
    ['devices', '["only one value"]', /row bad-row of the table devices .* cannot be written/],
    ['devices', 'no JSON', /row bad-row of the table devices .* cannot be written/],
    ['unheard_of', '[]', /table unheard_of, which is unknown here/],
  ]
  for (const [table, content, message] of rows) {
    const sequence = replica.sequence()
    await server.query(
      `WITH head AS (UPDATE rollcall.registry_head SET sequence = sequence + 1 RETURNING sequence)
       INSERT INTO rollcall.registry_rows (table_name, key, live, content, sequence)
       SELECT $1, 'bad-row', true, $2, sequence FROM head`,
      [table, content],
    )
    await assert.rejects(replica.catchUp(), { code: 'registry_corrupt', message })
    await until(() => replica.trouble() !== null)
    assert.match(String(replica.trouble()), message)
    assert.equal(replica.sequence(), sequence)
    const age = replica.ageMs()
    await until(() => replica.ageMs() > age + 50) // by it a broker ends to admit
    await server.query("DELETE FROM rollcall.registry_rows WHERE key = 'bad-row'")
    await until(() => replica.sequence() > sequence)
    await until(() => replica.trouble() === null)
  }
})
