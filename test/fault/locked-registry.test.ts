// Another process holds the registry's write lock: operators are told to come back, devices come and go as before.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { until } from '../cli/running.ts'
import { enroll, enrollMany, knock, stay } from '../e2e/devices.ts'
import { scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'

/** Far above a connect on a machine that is busy with others or with nothing else, below what a blocked event loop would cost. */
const CONNECT_MS = length(2_500, 500)
/** How often devices and operators come meanwhile at least. */
const VISITS = 10
/** How long the lock is held at least. */
const LOCKED_MS = length(0, 10_000)
/** Longer than any start takes to reach the registry. */
const WRITER_MS = 2_000

describe('a registry that another process has locked', () => {
  it('answers changes with 503 and Retry-After, goes on admitting, and catches up when the lock falls', async t => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const [inside, newcomer, condemned] = await enrollMany(system, world.path, [
      'inside',
      'newcomer',
      'condemned',
    ])
    assert.ok(inside && newcomer && condemned)
    const session = await stay(system.mqttsPort, inside.id, inside)
    const doomed = await stay(system.mqttsPort, condemned.id, condemned)
    const registry = new Sqlite(world.at('data', 'registry.db'))
    registry.exec('BEGIN IMMEDIATE')
    try {
      const began = performance.now()
      const changes = Promise.all([
        system.api.call('POST', '/v1/devices', { id: 'late' }),
        system.api.call('POST', `/v1/devices/${newcomer.id}/suspend`),
        system.api.call('POST', `/v1/certificates/${condemned.fingerprint}/revoke`, {}),
      ])
      let answeredMs = 0
      changes.finally(() => {
        answeredMs = performance.now() - began
      })
      let visits = 0
      let slowestMs = 0
      while (answeredMs === 0 || visits < VISITS || performance.now() - began < LOCKED_MS) {
        const knocked = performance.now()
        assert.equal(await knock(system.mqttsPort, newcomer.id, newcomer), 'connack 0')
        const tookMs = performance.now() - knocked
        slowestMs = Math.max(slowestMs, tookMs)
        assert.ok(tookMs < CONNECT_MS, `connecting took ${Math.round(tookMs)} ms`)
        assert.equal((await system.api.call('GET', '/v1/devices/inside')).status, 200)
        visits += 1
      }
      for (const { status, headers, body } of await changes) {
        assert.deepEqual([status, body.reason], [503, 'registry_busy'])
        assert.ok(Number(headers['retry-after']) >= 1)
      }
      assert.ok(answeredMs < 30_000, 'nobody waits for ever')
      t.diagnostic(
        `locked for ${Math.round(performance.now() - began)} ms: told to come back after ${Math.round(answeredMs)} ms; ` +
          `${visits} visits meanwhile, the slowest connect took ${Math.round(slowestMs)} ms`,
      )
      // Nothing is half done: the device to revoke is neither revoked nor cut.
      assert.deepEqual([await session.lives(), await doomed.lives()], [true, true])
      assert.equal((await system.api.call('GET', '/v1/devices/late')).status, 404)
    } finally {
      registry.exec('ROLLBACK')
      registry.close()
    }
    assert.equal((await system.api.call('POST', '/v1/devices', { id: 'late' })).status, 201)
    const receipt = await system.api.call('POST', `/v1/certificates/${condemned.fingerprint}/revoke`, {})
    assert.deepEqual([receipt.status, receipt.body.nodesAcknowledged, receipt.body.sessionsCut], [200, 1, 1])
    await doomed.closed
    // Its first use was noted while nobody could write.
    const noted = async () =>
      (await system.api.call('GET', `/v1/devices/${newcomer.id}`)).body.state === 'active'
    await until(noted, 'what the broker had to note is on record')
    session.end()
  })

  it('never lets a revocation be late because a reader is slow', async () => {
    using world = scratch()
    await using system = await startSystem(world.at('data'))
    const device = await enroll(system.api, world.path, 'read-about')
    const session = await stay(system.mqttsPort, device.id, device)
    const reader = new Sqlite(world.at('data', 'registry.db'), { readonly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM devices').get()
    const receipt = await system.api.call('POST', `/v1/certificates/${device.fingerprint}/revoke`, {})
    assert.deepEqual([receipt.status, receipt.body.nodesAcknowledged, receipt.body.sessionsCut], [200, 1, 1])
    await session.closed
    assert.equal(await knock(system.mqttsPort, device.id, device), 'connack 5')
    reader.exec('ROLLBACK')
    reader.close()
  })

  it('is waited for at the start, where its writer is done within seconds', async () => {
    using world = scratch()
    await (await startSystem(world.at('data'))).end()
    const registry = new Sqlite(world.at('data', 'registry.db'))
    registry.exec('BEGIN IMMEDIATE')
    const release = setTimeout(() => {
      registry.exec('ROLLBACK')
      registry.close()
    }, WRITER_MS)
    try {
      const began = performance.now()
      await using system = await startSystem(world.at('data'))
      assert.ok(performance.now() - began >= WRITER_MS, 'it was in the way')
      assert.deepEqual(await system.admin('/readyz'), { status: 200, text: 'ready\n' })
      assert.doesNotMatch(system.log(), /service died/)
    } finally {
      clearTimeout(release)
      registry.close()
    }
  })
})
