// A signed snapshot of the registry: what it holds, what is refused of it, a broker that begins with it, and one that has nothing else.
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { copyFileSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import pino from 'pino'
import { startBroker } from '../../../broker/index.ts'
import { validateSettings } from '../../../broker/settings/validation.ts'
import { auditKeys } from '../../../db/audit/audit-checkpoint.ts'
import { canonicalJson } from '../../../db/audit-chain.ts'
import { createRegistryWriter } from '../../../db/index.ts'
import { schemaVersion } from '../../../db/migrate.ts'
import { openBrokerReplica } from '../../../db/replication/broker-replica.ts'
import { openSharedRegistry, type SharedRegistry } from '../../../db/replication/index.ts'
import { moveRegistry } from '../../../db/replication/move.ts'
import { connectPostgres, readPostgresSettings } from '../../../db/replication/postgres.ts'
import { pruneRegistry } from '../../../db/replication/prune.ts'
import { openSnapshot, takeSnapshot, writeSnapshot } from '../../../db/replication/snapshot-file.ts'
import { openSnapshotReplica } from '../../../db/replication/snapshot-replica.ts'
import type { Identity } from '../../harness/authority.ts'
import { attempt, mqttClient } from '../../harness/broker.ts'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const HOUR = 3_600_000
let server: PostgresServer
let roll: Roll
let device: Identity
let shared: SharedRegistry
let snapshot: string
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
const keys = auditKeys(pem)
let files = 0
const newFile = (name = 'file') => join(roll.data, `${name}-${++files}`)
const settings = () => readPostgresSettings(server.url)

async function take(key: KeyObject = privateKey, now = Date.now): Promise<string> {
  const out = newFile('snapshot')
  const client = await connectPostgres(settings(), { name: 'test' })
  try {
    await writeSnapshot(client, { out, key, now })
  } finally {
    await client.end()
  }
  return out
}

before(async () => {
  ;[server, roll] = await Promise.all([startPostgres(), createRoll()])
  device = await roll.enroll('d1', { groups: ['backend'] })
  await moveRegistry({
    ...{ sqlite: roll.registry.sqlite, settings: settings() },
    ...{ replica: join(roll.data, 'moved.db'), name: 'test' },
  })
  shared = await openSharedRegistry({
    ...{ settings: settings(), file: join(roll.data, 'service.db'), name: 'service', onFailed() {} },
  })
  snapshot = await take()
})
after(async () => {
  await shared.close()
  await roll.close()
  await server.close()
})

const open = (file: string, options = {}) =>
  openSnapshot(file, { keys, now: Date.now(), ageMaxMs: HOUR, ...options })

test('it holds what a broker reads, no secret and no other table, and is for its owner alone', async () => {
  assert.equal(statSync(snapshot).mode & 0o777, 0o600)
  const replica = newFile('replica')
  await takeSnapshot(open(snapshot), replica)
  assert.equal(statSync(replica).mode & 0o777, 0o600)
  const sqlite = new Sqlite(replica, { readonly: true })
  const tables = sqlite
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'")
    .pluck()
    .all()
  for (const name of [
    'api_tokens',
    'enrollment_tokens',
    'claims',
    'webhooks',
    'operator_certificates',
    'audit',
  ])
    assert.ok(!tables.includes(name), name)
  assert.equal(sqlite.prepare('SELECT count(*) FROM certificates').pluck().get(), 1)
  sqlite.close()
  await assert.rejects(
    connectPostgres(settings(), { name: 'test' }).then(client =>
      writeSnapshot(client, { out: snapshot, key: privateKey, now: Date.now }).finally(() => client.end()),
    ),
    { code: 'EEXIST' },
  )
})

test('nothing is used of one that is not what the key signed, is too old, or is of another version', async () => {
  const bytes = readFileSync(snapshot)
  const end = bytes.indexOf(0x0a)
  const changed = (change: (bytes: Buffer) => Buffer) => {
    const file = newFile('changed')
    writeFileSync(file, change(Buffer.from(bytes)))
    return file
  }
  const withLine = (change: (line: Record<string, unknown>) => object) =>
    changed(all => {
      const line = JSON.parse(all.subarray(0, end).toString())
      return Buffer.concat([Buffer.from(JSON.stringify(change(line))), all.subarray(end)])
    })
  const signed = ({ signature: _, ...facts }: Record<string, unknown>) => ({
    ...facts,
    signature: sign(
      null,
      Buffer.from(`rollcall registry snapshot\n${canonicalJson(facts)}`),
      privateKey,
    ).toString('base64url'),
  })
  const refused: [file: string, message: RegExp, options?: object][] = [
    [withLine(line => ({ ...line, takenAt: new Date().toISOString() })), /its signature is not right/],
    [withLine(line => ({ ...line, sequence: 2 })), /its signature is not right/],
    [withLine(line => ({ ...line, sequence: '1' })), /what it says of itself cannot be read/],
    [withLine(line => ({ ...line, signature: 'A'.repeat(86) })), /its signature is not right/],
    [withLine(line => ({ ...line, format: 2 })), /no snapshot of a registry that this version reads/],
    [withLine(() => []), /no snapshot/],
    [withLine(line => signed({ ...line, schema: schemaVersion + 1 })), /of schema \d+, this version reads/],
    [changed(all => all.subarray(0, -1)), /it was cut off/],
    [changed(all => Buffer.concat([all, Buffer.alloc(1)])), /not as long as it says/],
    [changed(() => Buffer.alloc(10_000, 'x')), /is no snapshot/],
    [changed(() => Buffer.alloc(0)), /is no snapshot/],
    [snapshot, /longer ago than snapshotAgeMaxMs/, { now: Date.now() + HOUR + 1 }],
    [snapshot, /yet to come/, { now: Date.now() - HOUR }],
    [await take(generateKeyPairSync('ed25519').privateKey), /which audit.pub does not hold/],
  ]
  for (const [file, message, options] of refused) assert.throws(() => open(file, options), message)

  const tampered = changed(all => {
    all[end + 5_000]! ^= 1
    return all
  })
  const replica = newFile('replica')
  await assert.rejects(takeSnapshot(open(tampered), replica), /not what was signed/)
  assert.throws(() => statSync(replica), { code: 'ENOENT' })
})

test('a broker that has no replica begins with it and follows row by row; one that has one goes on with that', async () => {
  const writer = createRegistryWriter(shared.registry)
  await writer.addDevice({ id: 'later', attributes: {}, groups: [] }, tester)
  const file = newFile('replica')
  let opened = 0
  const start = (name = snapshot) =>
    openBrokerReplica({
      ...{ settings: settings(), file, node: 'b1', version: '1', cutMs: 1_000, onFailed() {} },
      snapshot: () => {
        opened += 1
        return open(name)
      },
    })
  const replica = await start()
  assert.equal(opened, 1)
  assert.equal(replica.sequence(), shared.replica.sequence())
  const devices = () => {
    const sqlite = new Sqlite(file, { readonly: true })
    const found = sqlite.prepare('SELECT id FROM devices ORDER BY id').pluck().all()
    sqlite.close()
    return found
  }
  assert.deepEqual(devices(), ['d1', 'later'])
  await writer.addDevice({ id: 'last', attributes: {}, groups: [] }, tester)
  await until(() => devices().includes('last'))
  await replica.close()
  await (await start('not read')).close()
  assert.equal(opened, 1)
})

test('a broker without PostgreSQL runs by it as long as it is young enough, then admits nobody and cuts', async () => {
  const data = newFile('site')
  mkdirSync(data)
  for (const name of ['ca.crt', 'server.crt']) copyFileSync(join(roll.data, name), join(data, name))
  cpSync(join(roll.data, 'keys'), join(data, 'keys'), { recursive: true })
  writeFileSync(join(data, 'audit.pub'), pem)
  let ahead = 0
  const given = { data, host: '127.0.0.1', port: 0, log: pino({ level: 'silent' }) }
  const broker = await startBroker({
    ...given,
    settings: validateSettings({ snapshotAgeMaxMs: HOUR, isolationAdmitMs: 1_000, isolationCutMs: 600_000 }),
    now: () => Date.now() + ahead,
    snapshot,
  })
  try {
    const at = { broker, roll }
    const client = await mqttClient(at, 'd1', device)
    assert.equal(broker.ready(), true)
    const closed = new Promise<void>(resolve => client.once('close', () => resolve()))
    ahead = HOUR
    assert.equal(broker.ready(), false)
    assert.notEqual(await attempt(at, { identity: device, connect: { clientId: 'd1' } }), 'connack 0')
    assert.equal(client.connected, true)
    ahead = HOUR + 600_000
    await closed
    client.end(true)
  } finally {
    await broker.close()
  }

  await assert.rejects(
    startBroker({ ...given, settings: validateSettings({}), data: roll.data, snapshot }),
    /holds a registry/,
  )
})

test('one from before does not take the place of a newer one, and a clock that is set back makes none younger', async () => {
  const file = newFile('replica')
  const newer = await take()
  let now = Date.now()
  const start = (name: string) =>
    openSnapshotReplica({
      ...{ file, snapshot: open(name), ageMaxMs: HOUR, admitMs: 1_000, now: () => now },
    })
  const group = (await start(newer)).sequence()
  const replica = await start(snapshot)
  assert.equal(replica.sequence(), group)
  assert.equal(replica.ageMs(), 0)
  assert.equal(replica.trouble(), null)
  now += HOUR
  assert.ok(replica.ageMs() > 1_000)
  assert.match(String(replica.trouble()), /older than snapshotAgeMaxMs/)
})

test('none is used where its group and its time do not agree whether the replica is newer: PostgreSQL had lost groups', async () => {
  const file = newFile('replica')
  const start = async (name: string) => {
    const opened = await openSnapshotReplica({
      ...{ file, snapshot: open(name), ageMaxMs: HOUR, admitMs: 1_000, now: Date.now },
    })
    return opened.sequence()
  }
  await createRegistryWriter(shared.registry).addDevice({ id: 'lost', attributes: {}, groups: [] }, tester)
  const { group } = open(await take()).facts
  /** A head as after a failover: of the number that is given, with another group. */
  const lead = (sequence: number, id: string = randomUUID()) =>
    server.query(
      `WITH head AS (UPDATE rollcall.registry_head SET sequence = $1)
       INSERT INTO rollcall.registry_groups (sequence, id, writer) VALUES ($1, $2, 'test')
       ON CONFLICT (sequence) DO UPDATE SET id = excluded.id`,
      [sequence, id],
    )
  const lost = await take()
  assert.equal(await start(lost), group.sequence)
  try {
    // A standby was promoted that had not got the last group; then others come.
    for (const sequence of [group.sequence - 1, group.sequence]) {
      await lead(sequence)
      const other = await take()
      await assert.rejects(start(other), /remove .* to go on with this snapshot/)
      assert.equal(await start(lost), group.sequence)
    }
    await lead(group.sequence + 1)
    const newer = await take()
    assert.equal(await start(newer), group.sequence + 1)
    const earlier = await take(privateKey, () => Date.now() - 60_000)
    assert.equal(await start(earlier), group.sequence + 1)
    await lead(group.sequence + 2)
    await assert.rejects(
      start(await take(privateKey, () => Date.now() - 60_000)),
      /to go on with this snapshot/,
    )
  } finally {
    await lead(group.sequence, group.id!)
  }
})

test('one from before what PostgreSQL knows of deleted rows, or of another registry, is refused', async () => {
  const start = () =>
    openBrokerReplica({
      ...{ settings: settings(), file: newFile('replica'), node: 'b2', version: '1', cutMs: 1_000 },
      ...{ onFailed() {}, snapshot: () => open(snapshot) },
    })
  await pruneRegistry({ settings: settings(), name: 'test' }, 0)
  await assert.rejects(start(), /make a new one with rollcall registry snapshot, or start without --snapshot/)
  await server.query('UPDATE rollcall.registry_head SET registry_id = gen_random_uuid()')
  await assert.rejects(start(), /of another registry than the one in PostgreSQL/)
})
