// `registryLossMode: open`: a broker that has lost its registry admits the devices that it last listed, and no others.
import assert from 'node:assert/strict'
import { renameSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, test } from 'node:test'
import type { Identity } from '../harness/authority.ts'
import { attempt, mqttClient, startTestBroker, type TestBroker } from '../harness/broker.ts'
import { tester } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

let t: TestBroker
let now = 0
beforeEach(async () => {
  now = Date.now()
  t = await startTestBroker({ settings: { registryLossMode: 'open', registryLossMs: 300 }, now: () => now })
})
afterEach(() => t.close())

const knock = (id: string, identity: Identity) => attempt(t, { identity, connect: { clientId: id } })
const sql = (text: string) => t.roll.registry.sqlite.exec(text)
/** Certificates cannot be read; the change feed can. */
const loseRecords = () => sql('ALTER TABLE certificates RENAME TO lost')
const returnRecords = () => sql('ALTER TABLE lost RENAME TO certificates')

async function known(id: string, options = {}): Promise<Identity & { fingerprint: string }> {
  const identity = await t.roll.enroll(id, options)
  assert.equal(await knock(id, identity), 'connack 0')
  return identity
}

/** The broker has read a change that was written by hand. */
async function follows(): Promise<void> {
  const latest = t.roll.registry.sqlite.prepare('SELECT max(epoch) FROM changes').pluck().get()
  await t.line(line => line.msg === 'epoch acknowledged' && line['epoch'] === latest)
}

test('admits devices that it knows with their former rights, says so, and refuses others', async () => {
  const [d1, stranger] = [await known('d1'), await t.roll.enroll('d2')]
  loseRecords()
  const device = await mqttClient(t, 'd1', d1)
  await device.publishAsync('devices/d1/up', 'still here', { qos: 1 })
  assert.equal(
    (await device.subscribeAsync('devices/d2/#', { qos: 1 }).catch(() => null))?.[0]?.qos ?? 0x80,
    0x80,
  )
  await device.endAsync()
  assert.equal(await knock('d2', stranger), 'cut')
  assert.equal(await knock('d1', stranger), 'cut')
  await t.line(line => line.msg === 'registry lost: still admitting the devices that it last listed')
  assert.match(await t.broker.metrics(), /rollcall_registry_open_decisions_total [1-9]/)
  assert.equal(t.broker.ready(), true)
  returnRecords()
  await until(async () => (await knock('d2', stranger)) === 'connack 0')
})

test('what it knows is subject to time: validity, grace and the end of a live session', async () => {
  const notAfter = new Date(Math.ceil(now / 1_000) * 1_000 + 60_000)
  const short = await known('d1', { notAfter })
  const old = await t.roll.enroll('d2')
  sql(`UPDATE certificates SET status = 'superseded', grace_until = ${now + 30_000}
       WHERE fingerprint = '${old.fingerprint}'`)
  assert.equal(await knock('d2', old), 'connack 0')
  loseRecords()
  now += 29_999
  assert.deepEqual([await knock('d1', short), await knock('d2', old)], ['connack 0', 'connack 0'])
  now += 1
  assert.deepEqual([await knock('d1', short), await knock('d2', old)], ['connack 0', 'connack 5'])
  now = notAfter.getTime()
  assert.equal(await knock('d1', short), 'connack 0', 'its last millisecond belongs to it')
  now += 1
  assert.equal(await knock('d1', short), 'connack 5')
})

test('a revocation that was read wins, also where it was read while records could not be', async () => {
  const [before, during, other] = [await known('d1'), await known('d2'), await known('d3')]
  await t.roll.writer.revokeCertificate(before.fingerprint, 'keyCompromise', tester)
  await follows()
  loseRecords()
  assert.equal(await knock('d1', before), 'cut', 'forgotten, and nobody can say what it is now')
  sql(`UPDATE lost SET status = 'revoked', revocation_reason = 'keyCompromise' WHERE fingerprint = '${during.fingerprint}';
       INSERT INTO changes (at, kind, fingerprint, device_id) VALUES (0, 'certificate', '${during.fingerprint}', 'd2')`)
  await until(async () => (await knock('d2', during)) === 'cut')
  assert.equal(await knock('d3', other), 'connack 0')
  returnRecords()
  assert.deepEqual([await knock('d1', before), await knock('d2', during)], ['connack 5', 'connack 5'])
})

test('nobody is admitted from memory while something was written that could not be read', async () => {
  const d1 = await known('d1')
  loseRecords()
  assert.equal(await knock('d1', d1), 'connack 0')
  sql('ALTER TABLE changes RENAME TO unread')
  await until(async () => (await knock('d1', d1)) === 'cut')
  sql('ALTER TABLE unread RENAME TO changes')
  await until(async () => (await knock('d1', d1)) === 'connack 0')
})

test('policies that changed are forgotten, except those of connected devices', async () => {
  const [away, here] = [await known('d1'), await t.roll.enroll('d2')]
  const device = await mqttClient(t, 'd2', here)
  const allow = { effect: 'allow', actions: ['publish'], topics: ['other/#'] }
  await t.roll.writer.putPolicy('more', { name: 'more', statements: [allow] }, tester)
  await t.roll.writer.attachPolicy('more', 'everyone', '', tester)
  await follows()
  loseRecords()
  assert.equal(await knock('d1', away), 'cut')
  const again = await mqttClient(t, 'd2', here)
  await again.publishAsync('other/x', 'by the new policy', { qos: 1 })
  await Promise.all([device.endAsync(true), again.endAsync(true)])
})

test('without its file it admits from memory, with another file in its place nobody', async () => {
  const [d1, stranger] = [await known('d1'), await t.roll.enroll('d2')]
  const { file } = t.roll.registry
  renameSync(file, `${file}.away`)
  await t.line(line => line.msg === 'registry in doubt: refusing' && /is gone/.test(String(line['error'])))
  assert.deepEqual([await knock('d1', d1), await knock('d2', stranger)], ['connack 0', 'cut'])
  assert.equal(t.broker.ready(), true)
  writeFileSync(file, '')
  await until(() => !t.broker.ready())
  assert.equal(await knock('d1', d1), 'cut')
  renameSync(`${file}.away`, file)
  await until(async () => (await knock('d2', stranger)) === 'connack 0')
})
