// A registry that is locked, lost, damaged or in doubt: nobody wrong gets in, those inside stay, and it recovers.
import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { runBroker } from '../../broker/main.ts'
import { attempt, startTestBroker, type TestBroker } from '../harness/broker.ts'
import { ended, rawSession } from '../harness/raw-client.ts'
import { createRoll, tester } from '../harness/roll.ts'
import { until } from '../harness/until.ts'

let t: TestBroker
let now = 0
beforeEach(async () => {
  now = Date.now()
  t = await startTestBroker({ settings: { registryLossMs: 300 }, now: () => now })
})
afterEach(() => t.close())

test('while another writer holds the lock, devices enter, and what was to be noted is noted afterwards', async () => {
  const device = await t.roll.enroll('d1')
  const other = new Sqlite(t.roll.registry.file)
  other.exec('BEGIN IMMEDIATE')
  const inside = await rawSession(t, device, { clientId: 'd1' })
  await t.line(line => line.msg === 'registry does not take notes now')
  inside.destroy()
  other.exec('COMMIT')
  other.close()
  const state = t.roll.registry.sqlite.prepare("SELECT state FROM devices WHERE id = 'd1'").pluck()
  await until(() => state.get() === 'active')
})

test('a lost change feed refuses newcomers after registryLossMs, keeps those inside, and recovers', async () => {
  await t.close()
  // Long enough to knock before it is over, on a machine that is busy with others.
  t = await startTestBroker({ settings: { registryLossMs: 3_000 }, now: () => now })
  const [inside, outside] = [await t.roll.enroll('d1'), await t.roll.enroll('d2')]
  const standing = await rawSession(t, inside, { clientId: 'd1' })
  t.roll.registry.sqlite.exec('ALTER TABLE changes RENAME TO lost')
  await until(() => !t.broker.ready())
  assert.equal(await attempt(t, { identity: outside, connect: { clientId: 'd2' } }), 'connack 0', 'not yet')
  const closed = performance.now() + 30_000
  let seen = ''
  while (seen !== 'cut') {
    assert.ok(performance.now() < closed, 'it never stopped admitting')
    seen = await attempt(t, { identity: outside, connect: { clientId: 'd2' } })
  }
  assert.equal(standing.destroyed, false)
  t.roll.registry.sqlite.exec('ALTER TABLE lost RENAME TO changes')
  await until(() => t.broker.ready())
  assert.equal(await attempt(t, { identity: outside, connect: { clientId: 'd2' } }), 'connack 0')
  standing.destroy()
})

test('a revocation made while the feed could not be read is acted on when it can', async () => {
  const device = await t.roll.enroll('d1')
  const standing = await rawSession(t, device, { clientId: 'd1' })
  t.roll.registry.sqlite.exec('ALTER TABLE devices RENAME TO lost')
  await t.roll.writer.revokeCertificate(device.fingerprint, 'keyCompromise', tester)
  await until(() => !t.broker.ready())
  assert.equal(standing.destroyed, false, 'in doubt those inside stay')
  t.roll.registry.sqlite.exec('ALTER TABLE lost RENAME TO devices')
  await ended(standing)
  await t.line(line => line.msg === 'cut' && line.reason === 'certificate_revoked')
})

test('a session still ends with its certificate while the registry is gone', async () => {
  const notAfter = new Date(Math.ceil(now / 1_000) * 1_000 + 60_000)
  const standing = await rawSession(t, await t.roll.enroll('d1', { notAfter }), { clientId: 'd1' })
  rmSync(t.roll.registry.file)
  await until(() => !t.broker.ready())
  assert.equal(standing.destroyed, false)
  now = notAfter.getTime() + 1
  await ended(standing)
  await t.line(line => line.msg === 'cut' && line.reason === 'certificate_expired')
})

test('a clock that jumps two years forward expires, and two years back refuses as not yet valid', async () => {
  const device = await t.roll.enroll('d1')
  const start = now
  for (const [years, reason] of [
    [2, 'certificate_expired'],
    [-2, 'certificate_not_yet_valid'],
  ] as const) {
    now = start + years * 365 * 86_400_000
    assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 5')
    await t.line(line => line.msg === 'refused' && line.reason === reason)
  }
  now = start
  assert.equal(await attempt(t, { identity: device, connect: { clientId: 'd1' } }), 'connack 0')
})

test('refusals of a fingerprint are written at most once a minute, with their count', async () => {
  const device = await t.roll.enroll('d1')
  await t.roll.writer.setDeviceState('d1', 'suspended', tester)
  const rows = t.roll.registry.sqlite
    .prepare('SELECT reason, device_id, count FROM refusals ORDER BY id')
    .raw()
  for (let i = 0; i < 3; i += 1) await attempt(t, { identity: device, connect: { clientId: 'd1' } })
  await until(() => rows.all().length === 1)
  const [[, , first]] = rows.all() as [[string, string, number]]
  for (let i = 0; i < 4; i += 1) await attempt(t, { identity: device, connect: { clientId: 'd1' } })
  now += 60_000
  await until(() => rows.all().length === 2)
  assert.deepEqual(rows.all(), [
    ['device_suspended', 'd1', first],
    ['device_suspended', 'd1', 7 - first],
  ])
})

test('the numbers a broker shows carry reasons, and never a device, a topic or a serial number', async () => {
  const device = await t.roll.enroll('some-device', { serialNumber: 'feedface'.repeat(4) })
  await attempt(t, { identity: device, connect: { clientId: 'other' } })
  const shown = await t.broker.metrics()
  assert.match(shown, /rollcall_refusals_total\{reason="client_id_mismatch"\} 1/)
  assert.doesNotMatch(shown, new RegExp(`some-device|feedface|${device.fingerprint}|devices/`))
})

test('a broker says what is wrong and what to do where it cannot start', async () => {
  const roll = await createRoll()
  const options = { data: roll.data, host: '127.0.0.1', mqttsPort: 0, logLevel: 'silent', env: {}, waitMs: 0 }
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  await assert.rejects(runBroker({ ...options, mqttsPort: port }), /in use: .*--mqtts-port/)
  await new Promise(resolve => taken.close(resolve))
  await assert.rejects(runBroker({ ...options, host: '192.0.2.1' }), /no address of this machine.*--host/)
  await assert.rejects(
    runBroker({ ...options, env: { ROLLCALL_BROKER_HANDSHAKES_MAX: 'x' } }),
    /handshakesMax/,
  )
  const running = await runBroker(options)
  assert.match(running.url, /^mqtts:\/\/127\.0\.0\.1:\d+$/)
  await running.close({ hurry: false })
  writeFileSync(join(roll.data, 'registry.db'), 'noise '.repeat(2_000))
  rmSync(join(roll.data, 'registry.db-wal'), { force: true })
  await assert.rejects(runBroker(options), { code: 'registry_corrupt', message: /restore a backup/ })
  rmSync(join(roll.data, 'registry.db'))
  await assert.rejects(runBroker(options), /lacks registry\.db: start provisioning/)
  await roll.close()
})
