// The change feed and its acknowledgements, tokens, and what a broker notes down.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { awaitReceipt, prepareChangeReader } from '../../db/change-feed.ts'
import { closeRegistry, createRegistryWriter } from '../../db/index.ts'
import { openForNotes, openForReading, type Registry } from '../../db/open.ts'
import { createRoll, type Roll, tester } from '../harness/roll.ts'

let roll: Roll
let reader: Registry
let notesRegistry: Registry
beforeEach(async () => {
  roll = await createRoll()
  reader = openForReading(roll.registry.file)
  notesRegistry = openForNotes(roll.registry.file)
})
afterEach(async () => {
  await closeRegistry(reader)
  await closeRegistry(notesRegistry)
  await roll.close()
})

test('another connection sees every change once, in order, and that there is one to see', async () => {
  const feed = prepareChangeReader(reader)
  const start = feed.latestEpoch()
  const version = feed.dataVersion()
  assert.equal(feed.dataVersion(), version, 'nothing happened')
  const { fingerprint } = await roll.enroll('d1')
  const revoked = await roll.writer.revokeCertificate(fingerprint, 'unspecified', tester)
  const suspended = await roll.writer.setDeviceState('d1', 'suspended', tester)
  assert.notEqual(feed.dataVersion(), version)
  const changes = feed.changesAfter(start, 100)
  for (const { at } of changes) assert.ok(Math.abs(Date.now() - at) < 60_000, 'when it was committed')
  const facts = changes.map(({ at: _, ...rest }) => rest)
  assert.deepEqual(facts, [
    { epoch: revoked, kind: 'certificate', deviceId: 'd1', fingerprint, issuerId: null, topic: null },
    { epoch: suspended, kind: 'device', deviceId: 'd1', fingerprint: null, issuerId: null, topic: null },
  ])
  assert.deepEqual(feed.changesAfter(start, 1), changes.slice(0, 1))
  assert.deepEqual(feed.changesAfter(suspended, 1), [])
})

test('an epoch never comes twice, even where rows are gone', async () => {
  const feed = prepareChangeReader(reader)
  const first = await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)
  roll.registry.sqlite.exec('DELETE FROM changes')
  assert.ok((await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)) > first)
  assert.ok(feed.latestEpoch() > first)
})

test('a receipt waits for every node, and names those that did not answer in time', async () => {
  const notes = createBrokerNotes(notesRegistry)
  notes.enter('one', 0, 1)
  notes.enter('two', 0, 1)
  const epoch = await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)
  notes.acknowledge('one', [{ epoch, sessionsCut: 3, at: 2 }])
  const late = await awaitReceipt(roll.registry, epoch, 20)
  assert.deepEqual(late, { epoch, nodesTotal: 2, nodesAcknowledged: 1, sessionsCut: 3, unreachable: ['two'] })
  const waiting = awaitReceipt(roll.registry, epoch, 5_000)
  notes.acknowledge('two', [{ epoch, sessionsCut: 4, at: 3 }])
  assert.deepEqual(await waiting, {
    epoch,
    nodesTotal: 2,
    nodesAcknowledged: 2,
    sessionsCut: 7,
    unreachable: [],
  })
  notes.leave('one')
  notes.leave('two')
  assert.equal((await awaitReceipt(roll.registry, epoch + 1, 5_000)).nodesTotal, 0)
})

test('a later epoch acknowledged stands for all before it', async () => {
  const notes = createBrokerNotes(notesRegistry)
  notes.enter('one', 0, 1)
  const first = await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)
  const second = await roll.writer.setIssuerEnabled(roll.issuerId, true, tester)
  notes.acknowledge('one', [{ epoch: second, sessionsCut: 0, at: 2 }])
  assert.deepEqual((await awaitReceipt(roll.registry, first, 5_000)).unreachable, [])
})

test('the first use makes certificate and device active, once, and never revives what was ended', async () => {
  const notes = createBrokerNotes(notesRegistry)
  const used = await roll.enroll('d1')
  const revoked = await roll.enroll('d2')
  await roll.writer.revokeCertificate(revoked.fingerprint, 'unspecified', tester)
  await roll.writer.setDeviceState('d2', 'suspended', tester)
  const note = (fingerprint: string, deviceId: string, at: number) => ({ fingerprint, deviceId, at })
  for (const at of [5, 9]) notes.uses([note(used.fingerprint, 'd1', at), note(revoked.fingerprint, 'd2', at)])
  const { sqlite } = roll.registry
  assert.deepEqual(
    sqlite
      .prepare('SELECT device_id, status, first_used_at FROM certificates ORDER BY device_id')
      .raw()
      .all(),
    [
      ['d1', 'active', 5],
      ['d2', 'revoked', null],
    ],
  )
  assert.deepEqual(sqlite.prepare('SELECT state FROM devices ORDER BY id').pluck().all(), [
    'active',
    'suspended',
  ])
  assert.equal(sqlite.prepare("SELECT count(*) FROM audit WHERE actor = 'broker'").pluck().get(), 2)
})

test('the last twenty refusals of a fingerprint are kept', () => {
  const notes = createBrokerNotes(notesRegistry)
  const refusal = (fingerprint: string, at: number) => ({
    fingerprint,
    deviceId: null,
    reason: 'x',
    address: '::1',
    at,
    count: 1,
  })
  for (let at = 0; at < 30; at += 1) notes.refusals([refusal('a', at), refusal('b', at)])
  const kept = roll.registry.sqlite
    .prepare("SELECT at FROM refusals WHERE fingerprint = 'a' ORDER BY at")
    .pluck()
    .all()
  assert.deepEqual(
    kept,
    Array.from({ length: 20 }, (_, index) => index + 10),
  )
})

test('a token is known by its hash alone, until it is expired, revoked or replaced', async () => {
  let now = 1_000
  const writer = createRegistryWriter(roll.registry, () => now)
  const { token } = await writer.createToken({ name: 'console', role: 'operator' }, tester)
  const holder = writer.holderOf(token)
  assert.deepEqual([holder?.name, holder?.role], ['console', 'operator'])
  const { sqlite } = roll.registry
  const rows = JSON.stringify([
    sqlite.prepare('SELECT * FROM api_tokens').all(),
    sqlite.prepare('SELECT * FROM audit').all(),
  ])
  assert.equal(rows.includes(token), false, 'the token itself is nowhere on record')
  for (const other of [
    '',
    token.slice(0, -1),
    `${token}x`,
    token.toUpperCase(),
    `rc_${'a'.repeat(43)}`,
    "' OR 1=1 --",
  ]) {
    assert.equal(writer.holderOf(other), null)
  }
  sqlite.exec('UPDATE api_tokens SET expires_at = 2000')
  now = 1_999
  assert.ok(writer.holderOf(token))
  now = 2_000
  assert.equal(writer.holderOf(token), null, 'at its expiry')
  const { token: first } = await writer.createToken({ name: 'console', role: 'admin' }, tester)
  const second = await writer.replaceToken({ name: 'console', role: 'admin' }, tester)
  assert.deepEqual([writer.holderOf(first), writer.holderOf(second)?.role], [null, 'admin'])
})

test('a writer waits for another without blocking, and says so after three seconds', async () => {
  const other = new Sqlite(roll.registry.file)
  other.exec('BEGIN IMMEDIATE')
  const waiting = roll.writer.addDevice({ id: 'd1', attributes: {}, groups: [] }, tester)
  const turns = await Promise.race([
    waiting.then(() => 'written'),
    new Promise(resolve => setImmediate(() => resolve('turning'))),
  ])
  assert.equal(turns, 'turning', 'the event loop goes on')
  other.exec('COMMIT')
  await waiting
  other.exec('BEGIN IMMEDIATE')
  await assert.rejects(roll.writer.addDevice({ id: 'd2', attributes: {}, groups: [] }, tester), {
    code: 'registry_busy',
  })
  other.exec('ROLLBACK')
  other.close()
  await roll.writer.addDevice({ id: 'd2', attributes: {}, groups: [] }, tester)
})
