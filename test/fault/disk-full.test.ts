// The disk fills up under a running system: operators are told, nothing is half done, devices come and go as before, and
// all is well again once there is space.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeKey, makeRequest } from '../../cli/enrollment/key-pair.ts'
import { until } from '../cli/running.ts'
import { enrollMany, knock, stay } from '../e2e/devices.ts'
import { attemptUp, failureIn, processesNaming, scratch, startSystem } from '../e2e/system.ts'
import { length } from './length.ts'
import { mountSmallDisk } from './small-disk.ts'

/** What it takes where nothing else runs; beside other tests it is for the machine to say. */
const RECOVERS_MS = length(60_000, 5_000)

describe('a full disk', () => {
  it('answers 507, admits listed devices, and takes changes again when there is space, without a restart', async t => {
    using disk = mountSmallDisk()
    if (disk === null) return t.skip('needs the right to mount a tmpfs')
    await using system = await startSystem(disk.at('data'))
    using elsewhere = scratch()
    const devices = await enrollMany(system, elsewhere.path, ['inside', 'newcomer', 'condemned'])
    const [inside, newcomer, condemned] = devices
    assert.ok(inside && newcomer && condemned)
    const session = await stay(system.mqttsPort, inside.id, inside)
    const services = [system.childPid('broker'), system.childPid('provisioning')]
    disk.fill()
    const key = await makeKey('p256')
    const csr = await makeRequest('newcomer', key, 'p256')
    const answered: string[] = []
    // What fits into space that is already taken still succeeds; then no more.
    let full = false
    for (let tries = 0; tries < 300 && !full; tries += 1) {
      const { status, body } = await system.api.call('POST', '/v1/devices/newcomer/certificates', { csr })
      if (status === 201) answered.push(body.fingerprint)
      else {
        assert.deepEqual([status, body.reason], [507, 'registry_full'])
        assert.ok(body.hint.length > 10)
        full = true
      }
    }
    assert.ok(full, 'the disk was full at last')
    assert.equal((await system.api.call('POST', '/v1/devices', { id: 'too-many' })).status, 507)
    const path = `/v1/certificates/${condemned.fingerprint}/revoke`
    assert.equal((await system.api.call('POST', path, {})).status, 507)
    for (let visit = 0; visit < 10; visit += 1)
      assert.equal(await knock(system.mqttsPort, newcomer.id, newcomer), 'connack 0')
    assert.equal(await knock(system.mqttsPort, condemned.id, condemned), 'connack 0')
    assert.equal(await knock(system.mqttsPort, newcomer.id, null), 'cut')
    assert.equal(await session.lives(), true)
    assert.equal((await system.api.call('GET', '/v1/devices/inside')).status, 200)

    disk.free()
    const freed = performance.now()
    await until(
      async () => (await system.api.call('POST', path, {})).status === 200,
      'changes are taken again',
      RECOVERS_MS,
    )
    const recoveredMs = performance.now() - freed
    t.diagnostic(`takes changes again ${Math.round(recoveredMs)} ms after there is space`)
    assert.equal(await knock(system.mqttsPort, condemned.id, condemned), 'connack 5')
    const listed = await system.api.list<{ fingerprint: string; deviceId: string }>('/v1/certificates')
    const mine = listed.filter(item => item.deviceId === 'newcomer').map(item => item.fingerprint)
    assert.deepEqual(mine.sort(), [...answered, newcomer.fingerprint].sort())
    assert.deepEqual([system.childPid('broker'), system.childPid('provisioning')], services)
    assert.equal(await session.lives(), true)
    const noted = async () => (await system.api.call('GET', '/v1/devices/newcomer')).body.state === 'active'
    await until(noted, 'what the broker had to note is on record', RECOVERS_MS)
    session.end()
  })

  it('at the very start is named as the cause, and the next start with space makes everything', async t => {
    using disk = mountSmallDisk()
    if (disk === null) return t.skip('needs the right to mount a tmpfs')
    disk.fill(24 * 1024)
    const data = disk.at('data')
    const attempt = attemptUp(data)
    assert.equal(await attempt.ended, 1, attempt.log())
    assert.match(failureIn(attempt.log()).error, /disk.*full|full.*disk|space/i)
    assert.deepEqual(processesNaming(data), [])
    disk.free()
    await using system = await startSystem(data)
    assert.equal((await system.api.call('POST', '/v1/devices', { id: 'first' })).status, 201)
  })
})
