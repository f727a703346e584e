// Two provisioning writers on one PostgreSQL: whatever verbs they run, every replica is, row by row, the registry that one writer
// alone would have.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, afterEach, before, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import {
  closeRegistry,
  createRegistryWriter,
  openForWriting,
  type RegistryWriter,
} from '../../../db/index.ts'
import { openSharedRegistry, type SharedRegistry } from '../../../db/replication/index.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { pruneRegistry } from '../../../db/replication/prune.ts'
import { startReplica } from '../../../db/replication/replica.ts'
import { allRows } from '../../../db/replication/row-capture.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { verifyRegistry } from '../../harness/audit.ts'
import { type Authority, createAuthority } from '../../harness/authority.ts'
import { startCuttingProxy } from '../../harness/cutting-proxy.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'

let server: PostgresServer
let directory: string
let authority: Authority
let issuing: Authority
before(async () => {
  server = await startPostgres()
  directory = mkdtempSync(join(tmpdir(), 'rollcall-replication-'))
  authority = await createAuthority()
  issuing = await authority.subordinate('Test Issuing CA')
})
after(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

let files = 0
const newFile = () => join(directory, `registry-${++files}.db`)
const rowsOf = (file: string) => {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return [...allRows(sqlite)].map(row => `${row.table} ${row.content}`).toSorted()
  } finally {
    sqlite.close()
  }
}

/** Nothing is left of the one before. */
async function newRegistry(): Promise<string> {
  await server.query('DROP SCHEMA IF EXISTS rollcall CASCADE')
  return server.url
}

function assertForeignKeys(file: string): void {
  const sqlite = new Sqlite(file)
  assert.deepEqual(sqlite.pragma('foreign_key_check'), [])
  sqlite.close()
}

/** A test that fails leaves none behind, or the run would not end. */
const opened: SharedRegistry[] = []
afterEach(async () => {
  await Promise.allSettled(opened.splice(0).map(shared => shared.close()))
})

type Process = SharedRegistry & { writer: RegistryWriter; file: string }
const failed = (error: unknown) => assert.fail(`a replica fell behind: ${error}`)

async function open(url: string, name: string, now: () => number, published?: () => void): Promise<Process> {
  const file = newFile()
  const shared = await openSharedRegistry({
    ...{ settings: readPostgresSettings(url), file, name, onFailed: failed },
    ...(published ? { published } : {}),
  })
  opened.push(shared)
  return { ...shared, file, writer: createRegistryWriter(shared.registry, now) }
}

test('a change of one process is in the replica of the other, and so is what triggers and foreign keys did', async () => {
  const url = await newRegistry()
  const one = await open(url, 'one', Date.now)
  const other = await open(url, 'other', Date.now)
  await one.writer.addDevice({ id: 'd1', attributes: { site: 'north' }, groups: ['g'] }, tester)
  await other.writer.addDevice({ id: 'd2', attributes: {}, groups: [] }, tester)
  await assert.rejects(other.writer.addDevice({ id: 'd1', attributes: {}, groups: [] }, tester), {
    code: 'device_exists',
  })
  await one.replica.catchUp()
  assert.deepEqual(rowsOf(one.file), rowsOf(other.file))
  const sqlite = new Sqlite(one.file, { readonly: true })
  assert.equal(
    sqlite
      .prepare("SELECT count FROM roll_counts WHERE kind = 'device' AND state = 'registered'")
      .pluck()
      .get(),
    2,
  )
  assert.equal(sqlite.prepare('SELECT count(*) FROM device_attributes').pluck().get(), 1)
  assert.equal(sqlite.prepare('SELECT count(*) FROM last_seen').pluck().get(), 2)
  sqlite.close()
  await one.close()
  await other.close()
})

type Command = { writer: number; verb: number; device: number; certificate: number }

test('after any verbs of two writers at once, each replica is what one writer alone would have in the order they took', async () => {
  const commands = fc.array(
    fc.record({ writer: fc.nat(1), verb: fc.nat(9), device: fc.nat(3), certificate: fc.nat(5) }),
    { minLength: 4, maxLength: 30 },
  )
  const sizes = fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 6 })
  const identities = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(index => issuing.issue({ name: `d${index % 4}` })),
  )
  let issuerId = ''
  const setUp = async (writer: RegistryWriter) => {
    const root = { der: authority.der, name: 'root', kind: 'root', parentId: null } as const
    const rootId = await writer.addIssuer(root, tester)
    const issuer = { der: issuing.der, name: 'issuing', kind: 'issuing', parentId: rootId } as const
    issuerId = await writer.addIssuer(issuer, tester)
  }
  const run = (
    writer: RegistryWriter,
    { verb, device, certificate }: Command,
    index: number,
  ): Promise<unknown> => {
    const id = `d${device}`
    const { der } = identities[certificate]!
    const fingerprint = fingerprintOf(der)
    const actor = { ...tester, requestId: String(index) }
    const attributes = { site: id, 'caf\u00e9': '\u{1F4A1}', long: 'x'.repeat(600) }
    const verbs: (() => Promise<unknown>)[] = [
      () => writer.addDevice({ id, attributes, groups: ['a', 'b'] }, actor),
      () =>
        writer.listCertificate(
          {
            ...{ der, deviceId: `d${certificate % 4}`, issuerId, trust: 'chained', status: 'issued' },
            action: 'certificate.register',
          },
          actor,
        ),
      () => writer.setDeviceState(id, 'suspended', actor),
      () => writer.setDeviceState(id, 'active', actor),
      () => writer.revokeCertificate(fingerprint, 'superseded', actor),
      () => writer.revokeCertificate(fingerprint, 'keyCompromise', actor),
      () => writer.putPolicy(id, { name: id, statements: [] }, actor),
      () => writer.attachPolicy('d1', 'device', id, actor),
      () => writer.deleteDevice(id, actor),
      () => writer.setDeviceState(id, 'decommissioned', actor),
    ]
    return verbs[verb]!()
  }

  await fc.assert(
    fc.asyncProperty(commands, sizes, async (asked, batches) => {
      const url = await newRegistry()
      let time = 1_800_000_000_000
      const now = () => time
      const processes = [await open(url, 'one', now), await open(url, 'other', now)] as const
      await setUp(processes[0].writer)
      const times: number[] = []
      for (let turn = 0; times.length < asked.length; turn += 1) {
        time += 1_000
        const from = times.length
        const batch = asked.slice(from, from + batches[turn % batches.length]!)
        times.push(...batch.map(() => time))
        const verbs = batch.map((command, place) =>
          run(processes[command.writer]!.writer, command, from + place),
        )
        for (const outcome of await Promise.allSettled(verbs))
          if (outcome.status === 'rejected') assert.equal(outcome.reason.name, 'Conflict', outcome.reason)
      }
      for (const { replica } of processes) await replica.catchUp()
      // A replica that begins now, from what is left of each row.
      const late = newFile()
      await (
        await startReplica({
          settings: readPostgresSettings(url),
          file: late,
          name: 'late',
          onFailed: failed,
        })
      ).stop()
      assertForeignKeys(late)
      const [first, second, third] = [...processes.map(({ file }) => file), late].map(rowsOf)
      assert.deepEqual(second, first)
      assert.deepEqual(third, first)

      const alone = openForWriting(newFile())
      time = 1_800_000_000_000
      const writer = createRegistryWriter(alone, now)
      await setUp(writer)
      const order = processes[0].registry.sqlite
        .prepare<[], string>('SELECT request_id FROM audit WHERE request_id IS NOT NULL ORDER BY seq')
        .pluck()
        .all()
      for (const index of new Set(order.map(Number))) {
        time = times[index]!
        await run(writer, asked[index]!, index)
      }
      assert.deepEqual(first, rowsOf(alone.file))
      for (const process of processes) await process.close()
      await closeRegistry(alone)
    }),
    { numRuns: 10 },
  )
})

test('a writer killed after PostgreSQL has its group, and before its replica has it, loses and doubles nothing', async () => {
  const url = await newRegistry()
  const file = newFile()
  const entry = join(import.meta.dirname, 'killed-writer.ts')
  for (const killedAt of [2, 3, 5]) {
    const child = spawn(process.execPath, [entry, url, file, String(killedAt)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const told = text(child.stdout)
    const [, signal] = await once(child, 'exit')
    assert.equal(signal, 'SIGKILL')
    const answered = (await told).split('\n').filter(Boolean)
    const before = new Sqlite(file, { readonly: true })
    const ids = (sqlite: Sqlite.Database) =>
      sqlite
        .prepare<[string], string>('SELECT id FROM devices WHERE id GLOB ? ORDER BY rowid')
        .pluck()
        .all(`${killedAt}-*`)
    // The replica may have heard of the last one by the notification, in the same moment.
    assert.deepEqual(ids(before).slice(0, answered.length), answered)
    before.close()
    const settings = readPostgresSettings(url)
    const again = await openSharedRegistry({ settings, file, name: 'again', onFailed: failed })
    // The one that was not answered is there once.
    assert.deepEqual(ids(again.registry.sqlite), [...answered, `${killedAt}-${answered.length}`])
    await again.close()
    assert.equal((await verifyRegistry(file, new Map())).fault, null)
  }
})

test('a group whose answer is lost, or that is lost on its way, is made once and answered', async () => {
  const { hostname: host, port } = new URL(await newRegistry())
  const proxy = await startCuttingProxy({ host, port: Number(port) })
  const one = await open(server.url.replace(`:${port}`, `:${proxy.port}`), 'one', Date.now)
  const other = await open(server.url, 'other', Date.now)
  const device = (id: string) => ({ id, attributes: {}, groups: [] })
  await one.writer.addDevice(device('before'), tester)
  for (const lost of ['answer', 'question'] as const) {
    proxy.cutNext('WITH head', lost)
    await one.writer.addDevice(device(lost), tester)
    await other.writer.addDevice(device(`after-${lost}`), tester)
  }
  assert.equal(proxy.cuts(), 2)
  for (const { replica } of [one, other]) await replica.catchUp()
  assert.deepEqual(rowsOf(one.file), rowsOf(other.file))
  assert.equal((await verifyRegistry(one.file, new Map())).fault, null)
  assert.equal(one.registry.sqlite.prepare('SELECT count(*) FROM devices').pluck().get(), 5)
  await one.close()
  await other.close()
  proxy.close()
})

test('a replica that is behind what PostgreSQL still knows of deleted rows starts anew', async () => {
  const url = await newRegistry()
  const settings = readPostgresSettings(url)
  const one = await open(url, 'one', Date.now)
  const device = (id: string) => ({ id, attributes: {}, groups: ['g'] })
  for (const id of ['d1', 'd2', 'd3']) await one.writer.addDevice(device(id), tester)
  const file = newFile()
  const behind = () => startReplica({ settings, file, name: 'behind', onFailed: failed })
  await (await behind()).stop()
  await one.writer.setDeviceState('d1', 'decommissioned', tester)
  await one.writer.deleteDevice('d1', tester)
  await one.writer.addDevice(device('d4'), tester)
  await pruneRegistry({ settings, name: 'prune' }, 0)
  assert.deepEqual(await server.query('SELECT count(*) FROM rollcall.registry_rows WHERE NOT live'), [
    { count: '0' },
  ])
  await (await behind()).stop()
  assert.deepEqual(rowsOf(file), rowsOf(one.file))
  await one.close()
})
