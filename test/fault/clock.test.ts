// A clock that is wrong, at start and while running: what has expired or is not valid yet stays out, a device that lost its right
// is cut, no other is, and the services live. Needs libfaketime (Debian: faketime).
import assert from 'node:assert/strict'
import { globSync, utimesSync, writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { until } from '../cli/running.ts'
import { type Device, enroll, knock, stay } from '../e2e/devices.ts'
import { type System, scratch, startSystem } from '../e2e/system.ts'

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')
const skip = library === undefined ? 'needs the Debian package faketime' : false
const DAY_MS = 86_400_000

/** The clock of every process of the system: an offset, or a file that holds one and may change. */
const clock = (faked: { FAKETIME: string } | { FAKETIME_TIMESTAMP_FILE: string }) => ({
  otherClock: true,
  // Waits are counted by the monotonic clock, which no step of the time of day touches.
  env: { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_NO_CACHE: '1', ...faked },
})

describe('rollcall up under a clock that is', { skip }, () => {
  const world = scratch()
  const data = world.at('data')
  let short: Device
  let long: Device
  before(async () => {
    await using system = await startSystem(data)
    short = await enroll(system.api, world.path, 'short', { days: 90 })
    long = await enroll(system.api, world.path, 'long', { days: 825 })
    assert.equal(await knock(system.mqttsPort, short.id, short), 'connack 0')
  })
  after(() => world[Symbol.dispose]())

  it('two years ahead refuses what has expired, says so, and renews its own certificate', async () => {
    await using system = await startSystem(data, clock({ FAKETIME: '+730d' }))
    assert.equal(await knock(system.mqttsPort, short.id, short), 'connack 5')
    assert.equal(await knock(system.mqttsPort, long.id, long), 'connack 0')
    await assertSaid(system, short, 'certificate_expired')
    const { body } = await system.api.call('GET', '/v1/devices/long/admission')
    assert.equal(body.wouldBeAdmitted, true)
    await system.logged(/"made":\["server certificate"\]/)
    assert.deepEqual(await system.admin('/readyz'), { status: 200, text: 'ready\n' })
  })

  it('two years behind refuses what is not valid yet, and says so', async () => {
    await using system = await startSystem(data, clock({ FAKETIME: '-730d' }))
    assert.equal(await knock(system.mqttsPort, long.id, long), 'connack 5')
    await assertSaid(system, long, 'certificate_not_yet_valid')
  })

  it('set forward while devices are connected cuts the sessions that it makes expired, and no others', async () => {
    const file = world.at('clock')
    set(file, 0)
    await using system = await startSystem(data, clock({ FAKETIME_TIMESTAMP_FILE: file }))
    const expiring = await stay(system.mqttsPort, short.id, short)
    const lasting = await stay(system.mqttsPort, long.id, long)
    set(file, 365)
    await expiring.closed
    assert.equal(await lasting.lives(), true)
    assert.equal(await system.metric('rollcall_cuts_total{reason="certificate_expired"}'), 1)
    assert.equal(await knock(system.mqttsPort, short.id, short), 'connack 5')
    // Back again, as a time server does that had been wrong: nothing is remembered of it.
    set(file, 0)
    await until(
      async () => (await knock(system.mqttsPort, short.id, short)) === 'connack 0',
      'the device is let in again',
    )
    assert.equal(await lasting.lives(), true)
    const receipt = await system.api.call('POST', `/v1/devices/${long.id}/suspend`)
    assert.deepEqual([receipt.status, receipt.body.nodesAcknowledged, receipt.body.sessionsCut], [200, 1, 1])
    await lasting.closed
  })
})

/** The reason is in the log, in the count and in the explanation. */
async function assertSaid(system: System, device: Device, reason: string): Promise<void> {
  await system.logged(new RegExp(`"reason":"${reason}".*"msg":"refused"`))
  assert.equal(await system.metric(`rollcall_refusals_total{reason="${reason}"}`), 1)
  const { body } = await system.api.call('GET', `/v1/devices/${device.id}/admission`)
  assert.deepEqual([body.wouldBeAdmitted, body.reason], [false, reason])
}

/** libfaketime reads an offset in seconds from here on. */
function set(file: string, days: number): void {
  writeFileSync(file, `+${(days * DAY_MS) / 1000}\n`)
  utimesSync(file, new Date(), new Date())
}
