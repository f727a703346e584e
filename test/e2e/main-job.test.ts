// The main job with the tools of a newcomer: the command line enrolls and revokes, mosquitto's clients publish and
// receive, and what was on the roll is still there after a restart.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Device } from '../../client/types.ts'
import { until } from '../cli/running.ts'
import { asDevice, run, subscriber } from './mosquitto.ts'
import { type System, scratch, startSystem } from './system.ts'

type Receipt = { status: string; sessionsCut: number; nodesTotal: number; nodesAcknowledged: number }
type Explanation = { wouldBeAdmitted: boolean; reason: string | null; refusals: { reason: string }[] }
type Enrolled = { fingerprint: string; files: { certificate: string; key: string; ca: string } }

describe('the main job', () => {
  const world = scratch()
  const data = world.at('data')
  let system: System
  before(async () => {
    system = await startSystem(data)
  })
  after(async () => {
    await system?.[Symbol.asyncDispose]()
    world[Symbol.dispose]()
  })

  async function enrolled(id: string, ...flags: string[]) {
    await system.ask('device', 'add', id, ...flags)
    const { fingerprint, files } = await system.ask<Enrolled>('device', 'enroll', id, '--out', world.at(id))
    return { id, fingerprint, files }
  }

  it('carries what an enrolled device publishes to a backend, and to nobody else', async () => {
    const sensor = await enrolled('sensor-1')
    const neighbour = await enrolled('sensor-2')
    const backend = await enrolled('backend-1', '--group', 'backend')
    const received = await subscriber(asDevice(system.mqttsPort, backend), '-t', 'devices/#', '-q', '1')
    const overheard = await subscriber(asDevice(system.mqttsPort, neighbour), '-t', 'devices/sensor-2/#')
    const publish = (message: string) =>
      run('mosquitto_pub', [
        ...asDevice(system.mqttsPort, sensor),
        ...['-t', 'devices/sensor-1/temperature', '-m', message, '-q', '1'],
      ])
    assert.equal((await publish('21.5')).code, 0)
    await received.printed('devices/sensor-1/temperature|1|0|21.5')
    // What a backend sends down is the last thing the neighbour hears: whatever else it was sent came before.
    await received.stop()
    const down = [...asDevice(system.mqttsPort, backend), '-t', 'devices/sensor-2/commands', '-m', 'end']
    assert.equal((await run('mosquitto_pub', down)).code, 0)
    await overheard.printed('devices/sensor-2/commands|0|0|end')
    assert.doesNotMatch(overheard.output(), /21\.5/)
    await overheard.stop()
  })

  it('cuts a revoked device, says so in the receipt, refuses it afterwards, and explains why', async () => {
    const device = await enrolled('sensor-3')
    const flags = asDevice(system.mqttsPort, device)
    const client = await subscriber(flags, '-t', 'devices/sensor-3/#')
    const { fingerprint } = device
    const receipt = await system.ask<Receipt>(
      'certificate',
      'revoke',
      fingerprint,
      '--reason',
      'keyCompromise',
    )
    assert.deepEqual(
      [receipt.status, receipt.sessionsCut, receipt.nodesTotal, receipt.nodesAcknowledged],
      ['revoked', 1, 1, 1],
    )
    const cut = await client.ended
    assert.notEqual(cut.code, 0)
    assert.match(cut.output, /connection was lost/)
    const refused = await run('mosquitto_sub', [...flags, '-t', 'devices/sensor-3/#'])
    assert.equal(refused.code, 5)
    assert.match(refused.output, /not authorised/i)
    for (const subject of ['sensor-3', fingerprint, device.files.certificate]) {
      const why = await system.ask<Explanation>('explain', subject)
      assert.deepEqual([why.wouldBeAdmitted, why.reason], [false, 'certificate_revoked'], subject)
    }
    const { code, stdout } = await system.run('explain', 'sensor-3')
    assert.equal(code, 0)
    assert.match(stdout, /would be refused: certificate_revoked/)
    const others = await run('mosquitto_pub', [
      ...asDevice(system.mqttsPort, await enrolled('sensor-4')),
      ...['-t', 'devices/sensor-4/t', '-m', 'still here', '-q', '1'],
    ])
    assert.equal(others.code, 0)
  })

  it('keeps a suspended device out until it is activated, with the key and certificate it had', async () => {
    const device = await enrolled('sensor-5')
    const knock = () =>
      run('mosquitto_pub', [
        ...asDevice(system.mqttsPort, device),
        '-t',
        'devices/sensor-5/t',
        '-m',
        '1',
        '-q',
        '1',
      ])
    await system.ask('device', 'suspend', 'sensor-5')
    assert.equal((await knock()).code, 5)
    assert.equal((await system.ask<Explanation>('explain', 'sensor-5')).reason, 'device_suspended')
    await system.ask('device', 'activate', 'sensor-5')
    assert.equal((await knock()).code, 0)
  })

  it('finds everything at the second start, changes nothing, and decides as before', async () => {
    // Notes of connections are up to a second late.
    await until(async () => {
      const { lastSeen } = await system.ask<Device>('device', 'show', 'sensor-5')
      return lastSeen !== null && lastSeen.disconnectedAt !== null
    }, 'its last connection is noted')
    const devices = await system.ask<unknown[]>('device', 'list')
    const certificates = await system.ask<unknown[]>('certificate', 'list')
    assert.equal(devices.length, 6)
    assert.equal(await system.end(), 0)
    const before = contentsOf(data)
    assert.ok(before['admin.token'] && before['ca.crt'] && before['keys/issuing.key'])
    system = await startSystem(data)
    assert.deepEqual(contentsOf(data), before)
    assert.deepEqual(await system.ask('device', 'list'), devices)
    assert.deepEqual(await system.ask('certificate', 'list'), certificates)
    const as = (id: string) => {
      const files = {
        certificate: world.at(id, 'device.crt'),
        key: world.at(id, 'device.key'),
        ca: world.at(id, 'ca.crt'),
      }
      const flags = asDevice(system.mqttsPort, { id, files })
      return run('mosquitto_pub', [...flags, '-t', `devices/${id}/t`, '-m', 'back', '-q', '1'])
    }
    assert.equal((await as('sensor-1')).code, 0)
    assert.equal((await as('sensor-3')).code, 5)
  })
})

/** SHA-256 and mode of every file that is not the registry, sessions, news, figures, a list made from them, or word of a running service. */
function contentsOf(directory: string): Record<string, string> {
  const passing =
    /^((registry|sessions|events|history)\.db.*|.*\.crl(\.new)?|endpoints\.json|broker-settings\.json)$/
  const files = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !passing.test(entry.name))
    .map(entry => join(entry.parentPath, entry.name))
  return Object.fromEntries(
    files.map(file => [
      file.slice(directory.length + 1),
      `${createHash('sha256').update(readFileSync(file)).digest('hex')} ${(statSync(file).mode & 0o777).toString(8)}`,
    ]),
  )
}
