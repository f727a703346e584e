// PostgreSQL fails over to a standby. A synchronous one has all that was answered. One that was behind has lost changes: a replica that has
// them, or a process that would build on them, must notice, however far the registry has gone on meanwhile.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry, type SharedRegistry } from '../../../db/replication/index.ts'
import { connectPostgres, readPostgresSettings } from '../../../db/replication/postgres.ts'
import { type Replica, startReplica } from '../../../db/replication/replica.ts'
import { startCuttingProxy } from '../../harness/cutting-proxy.ts'
import { type PostgresServer, type Standby, startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

/** Replicas here ask when they are told to. */
const NEVER_MS = 3_600_000

let directory: string
let server: PostgresServer
let standby: Standby
let closing: (() => Promise<unknown>)[] = []
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'rollcall-failover-'))
})
after(() => rmSync(directory, { recursive: true, force: true }))
afterEach(async () => {
  await Promise.all(closing.map(close => close()))
  closing = []
})

let files = 0
const newFile = () => join(directory, `registry-${++files}.db`)
const add = ({ registry }: SharedRegistry, id: string) =>
  createRegistryWriter(registry).addDevice({ id, attributes: {}, groups: [] }, tester)
const devices = ({ registry }: SharedRegistry) =>
  registry.sqlite.prepare('SELECT id FROM devices ORDER BY id').pluck().all()

async function open(name: string, url = server.url): Promise<SharedRegistry> {
  const settings = readPostgresSettings(url)
  const shared = await openSharedRegistry({ settings, file: newFile(), name, onFailed() {} })
  closing.push(shared.close)
  return shared
}
async function replica(file = newFile()): Promise<Replica> {
  const settings = readPostgresSettings(server.url)
  const own = await startReplica({ settings, file, name: 'reader', everyMs: NEVER_MS, onFailed() {} })
  closing.push(own.stop)
  return own
}

async function withStandby(options: { synchronous: boolean }): Promise<void> {
  server = await startPostgres({ durable: true })
  closing.push(server.close)
  standby = await server.standby(options)
  closing.push(standby.close)
}

describe('of a standby that was behind', () => {
  let one: SharedRegistry
  let ahead: Replica
  let file: string
  beforeEach(async () => {
    await withStandby({ synchronous: false })
    one = await open('one')
    await add(one, 'kept')
    const head = 'SELECT sequence FROM rollcall.registry_head'
    const [now] = await server.query(head)
    await until(async () => (await standby.query(head))[0]?.['sequence'] === now?.['sequence'])
    await standby.kill()
    await add(one, 'lost')
    file = newFile()
    ahead = await replica(file)
    await ahead.catchUp()
    await server.kill()
    await standby.start()
    await standby.promote()
    await standby.moveTo(server.url)
  })

  test('a replica that is ahead never goes on with what came in place of what it knows', async () => {
    const other = await open('other')
    assert.deepEqual(devices(other), ['kept'])
    for (const id of ['first', 'second', 'third']) {
      await add(other, id)
      await assert.rejects(ahead.catchUp(), { code: 'registry_replaced', message: /remove its replica/ })
    }
    const heard = ahead.ageMs()
    await assert.rejects(ahead.catchUp())
    assert.ok(ahead.ageMs() >= heard, 'it has heard of the registry that it knows')
    // Nor after a restart, until its file is removed.
    await ahead.stop()
    await assert.rejects(replica(file), { code: 'registry_replaced' })
    const anew = await replica()
    assert.equal(anew.sequence(), other.replica.sequence())
  })

  test('a process that is ahead changes nothing, whatever the number of the last group', async () => {
    const other = await open('other')
    await add(other, 'instead')
    assert.equal(other.replica.sequence(), one.replica.sequence())
    await assert.rejects(add(one, 'upon-what-is-lost'), /registry_replaced|does not hold/)
    await assert.rejects(add(one, 'lost'), /does not hold/, 'nor does it refuse by what is lost')
    await other.replica.catchUp()
    assert.deepEqual(devices(other), ['instead', 'kept'])
  })
})

test('a synchronous standby goes on with all that was answered, at an address of its own as well', async () => {
  await withStandby({ synchronous: true })
  const both = `${server.url.replace(/(:\d+)\//, `$1,127.0.0.1:${new URL(standby.url).port}/`)}?target_session_attrs=read-write`
  const [one, other] = [await open('one', both), await open('other', both)]
  await add(one, 'before')
  await server.kill()
  await standby.promote()
  await add(other, 'after')
  await add(one, 'at-last')
  await until(() => devices(one).length === 3 && devices(other).length === 3)
  assert.deepEqual(devices(other), ['after', 'at-last', 'before'])
})

test('a former primary that comes back is not written to, even where its successor is away', async () => {
  await withStandby({ synchronous: true })
  const both = server.url.replace(/(:\d+)\//, `$1,127.0.0.1:${new URL(standby.url).port}/`)
  const [one, reached] = [await open('one', both), readPostgresSettings(both)]
  await (await connectPostgres(reached, { name: 'test' })).end()
  await add(one, 'before')
  await server.kill()
  await standby.promote()
  await add(one, 'after')
  await (await connectPostgres(reached, { name: 'test' })).end()
  // As it was, but for what makes it wait for its standby: it would take whatever comes.
  await server.start()
  await server.query("ALTER SYSTEM SET synchronous_standby_names = ''")
  await server.query('SELECT pg_reload_conf()')
  await standby.kill()
  await assert.rejects(connectPostgres(reached, { name: 'test' }), /is a former primary/)
  const adding = add(one, 'meanwhile').then(
    () => 'added',
    () => 'refused',
  )
  await assert.rejects(connectPostgres(reached, { name: 'test' }), /is a former primary/)
  await standby.start()
  const known = (await adding) === 'added' ? ['after', 'before', 'meanwhile'] : ['after', 'before']
  await until(() => devices(one).length === known.length)
  assert.deepEqual(devices(one), known)
  await add(one, 'then')
  const heads = 'SELECT sequence FROM rollcall.registry_head'
  const [before, now] = [await server.query(heads), await standby.query(heads)]
  assert.ok(Number(before[0]?.['sequence']) < Number(now[0]?.['sequence']))
})

test('a standby is not asked: it may have heard nothing for long', async () => {
  await withStandby({ synchronous: false })
  await assert.rejects(connectPostgres(readPostgresSettings(standby.url), { name: 'test' }), /standby/)
})

test('a connection that breaks while it is made is an error of that alone', async () => {
  server = await startPostgres()
  closing.push(server.close)
  const proxy = await startCuttingProxy({ host: '127.0.0.1', port: Number(new URL(server.url).port) })
  try {
    const settings = readPostgresSettings(server.url.replace(/:\d+\//, `:${proxy.port}/`))
    for (const lost of ['question', 'answer'] as const) {
      proxy.cutNext('pg_is_in_recovery', lost)
      const told: Error[] = []
      await assert.rejects(connectPostgres(settings, { name: 'test', lost: error => void told.push(error) }))
      assert.deepEqual(told, [])
    }
    assert.equal(proxy.cuts(), 2)
  } finally {
    proxy.close()
  }
})
