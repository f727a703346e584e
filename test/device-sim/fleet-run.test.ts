// Whole runs of an honest fleet against a broker and an API with real TLS.
import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeRequest } from '../../device-sim/identity.ts'
import { createWorld } from './fakes/world.ts'

describe('a fleet', () => {
  it('enrolls, connects, publishes numbered telemetry and hears of its acknowledgements', async () => {
    await using world = await createWorld()
    const { exitCode, report, stdout } = await world.run()
    assert.equal(exitCode, 0)
    assert.equal(stdout.trim().split('\n').length, 1, 'one JSON object and nothing else')
    assert.deepEqual([report.enrollment?.enrolled, report.enrollment?.reused], [5, 0])
    assert.equal(report.connects.admitted, 5)
    assert.equal(report.devices.atEnd.connected, 5)
    assert.equal(report.commands.subscribed, 5)
    assert.ok(report.messages.published > 5)
    assert.equal(report.messages.acknowledged, report.messages.published)
    assert.equal(report.messages.latencyMs.count, report.messages.acknowledged)
    const { p50, p95, p99 } = report.messages.latencyMs
    assert.ok(p50 !== null && p95 !== null && p99 !== null && p50 > 0 && p50 <= p95 && p95 <= p99)
    assert.equal(world.broker.received.length, report.messages.published)
    for (let index = 1; index <= 5; index++) {
      const id = `sim-0000${index}`
      const own = world.broker.received.filter(({ topic }) => topic === `devices/${id}/telemetry`)
      const sequences = own.map(({ payload }) => JSON.parse(payload) as { device: string; sequence: number })
      assert.deepEqual(
        sequences.map(({ device, sequence }) => [device, sequence]),
        own.map((_, position) => [id, position + 1]),
      )
    }
  })

  for (const qos of ['0', '2']) {
    it(`publishes at QoS ${qos}`, async () => {
      await using world = await createWorld()
      const { exitCode, report } = await world.run({ qos, devices: '2' })
      assert.equal(exitCode, 0)
      assert.ok(report.messages.published > 0)
      assert.equal(report.messages.acknowledged, qos === '0' ? 0 : report.messages.published)
      assert.equal(report.messages.lost, 0)
    })
  }

  for (const keyType of ['p384', 'ed25519', 'rsa2048']) {
    it(`connects with ${keyType} keys`, async () => {
      await using world = await createWorld()
      const { exitCode, report } = await world.run({ keyType, devices: '1' })
      assert.equal(exitCode, 0)
      assert.equal(report.connects.admitted, 1)
    })
  }

  it('counts commands that it receives', async () => {
    await using world = await createWorld()
    world.broker.aedes.on('subscribe', subscriptions => {
      for (const { topic } of subscriptions) {
        const command = topic.replace('#', 'blink')
        world.broker.aedes.publish(
          { cmd: 'publish', topic: command, payload: 'now', qos: 0, retain: false, dup: false },
          () => {},
        )
      }
    })
    const { report } = await world.run({ devices: '3' })
    assert.equal(report.commands.received, 3)
  })

  it('keeps keys to itself and uses them again', async () => {
    await using world = await createWorld()
    const first = await world.run()
    const devicesDir = join(world.keysDir, 'devices')
    assert.equal((await stat(world.keysDir)).mode & 0o777, 0o700)
    const names = (await readdir(devicesDir)).sort()
    assert.deepEqual(
      names,
      ['1', '2', '3', '4', '5'].map(n => `sim-0000${n}.pem`),
    )
    for (const name of names) assert.equal((await stat(join(devicesDir, name))).mode & 0o777, 0o600)
    const before = await readFile(join(devicesDir, 'sim-00003.pem'), 'utf8')
    const second = await world.run()
    assert.equal(await readFile(join(devicesDir, 'sim-00003.pem'), 'utf8'), before)
    assert.deepEqual([first.report.enrollment?.enrolled, second.report.enrollment?.enrolled], [5, 0])
    assert.equal(second.report.enrollment?.reused, 5)
    assert.equal(second.exitCode, 0)
    assert.equal(world.roll.certificates.size, 5)
  })

  it('enrolls again only what is missing, damaged, revoked or unknown', async () => {
    await using world = await createWorld()
    await world.run()
    const devicesDir = join(world.keysDir, 'devices')
    await writeFile(join(devicesDir, 'sim-00001.pem'), 'half a file')
    const certificates = [...world.roll.certificates.values()]
    const of = (id: string) => certificates.find(({ deviceId }) => deviceId === id)!
    of('sim-00002').status = 'revoked'
    world.roll.certificates.delete(of('sim-00003').fingerprint)
    const { exitCode, report } = await world.run({ devices: '6' })
    assert.equal(exitCode, 0)
    assert.deepEqual(report.enrollment?.causes, {
      missing: 2,
      expiring: 0,
      other_key_type: 0,
      not_on_roll: 2,
    })
    assert.equal(report.enrollment?.reused, 2)
  })

  it('enrolls again for another key type', async () => {
    await using world = await createWorld()
    await world.run({ devices: '1' })
    const { exitCode, report } = await world.run({ devices: '1', keyType: 'ed25519' })
    assert.equal(exitCode, 0)
    assert.equal(report.enrollment?.causes.other_key_type, 1)
  })

  it('enrolls again where a certificate would run out during the run', async () => {
    await using world = await createWorld()
    await world.run({ devices: '1' })
    const [certificate] = [...world.roll.certificates.values()]
    const kept = join(world.keysDir, 'devices', 'sim-00001.pem')
    const { key, csr } = await makeRequest('sim-00001', 'p256')
    const soon = new Date(Date.now() + 60_000)
    const { pem, fingerprint } = await world.authority.issue(csr, 'sim-00001', soon)
    world.roll.certificates.set(fingerprint, { ...certificate!, fingerprint, notAfter: soon })
    await writeFile(kept, key + pem)
    const { exitCode, report } = await world.run({ devices: '1' })
    assert.equal(exitCode, 0)
    assert.equal(report.enrollment?.causes.expiring, 1)
  })

  it('waits out a busy API', async () => {
    await using world = await createWorld()
    world.provisioning.state.busy = 4
    const { exitCode, report } = await world.run()
    assert.equal(exitCode, 0)
    assert.equal(report.enrollment?.apiRetries, 4)
  })

  it('comes back after the broker dropped everyone, and counts what was in flight', async () => {
    await using world = await createWorld()
    const everyoneIsBack = new AbortController()
    let admissions = 0
    world.broker.aedes.on('client', () => ++admissions === 6 && everyoneIsBack.abort())
    // Who publishes has seen its CONNACK: before that, being closed on is no drop.
    const publishing = new Set<string>()
    const telemetry = new Promise<void>(resolve => {
      world.broker.aedes.on('publish', (_packet, client) => {
        if (client && publishing.add(client.id).size === 3) resolve()
      })
    })
    const running = world.run({ devices: '3', duration: '1h' }, everyoneIsBack.signal)
    await telemetry
    world.broker.dropEveryone()
    const { report } = await running
    assert.deepEqual(report.dropped, { closed_by_broker: 3 })
    assert.equal(admissions, 6)
    const { published: sent, acknowledged, lost } = report.messages
    assert.equal(sent, acknowledged + lost)
  })

  it('calls a device that was suspended by the operator wrongly refused', async () => {
    await using world = await createWorld()
    await world.run({ devices: '2' })
    world.roll.devices.get('sim-00002')!.state = 'suspended'
    const { exitCode, report } = await world.run({ devices: '2' })
    assert.equal(exitCode, 99)
    assert.equal(report.devices.atEnd.refused, 1)
    assert.ok((report.connects.failed['connack_5'] ?? 0) >= 1)
  })

  it('fails with 99 where its own commands may not be subscribed to', async () => {
    await using world = await createWorld()
    world.broker.aedes.authorizeSubscribe = (_client, _subscription, done) => done(null, null)
    const { exitCode, report } = await world.run({ devices: '1' })
    assert.equal(exitCode, 99)
    assert.deepEqual([report.commands.subscribed, report.commands.refused], [0, 1])
  })

  it('does not call a subscription refused that was never answered', async () => {
    await using world = await createWorld()
    world.broker.aedes.authorizeSubscribe = () => {}
    const { exitCode, report } = await world.run({ devices: '1' })
    assert.equal(exitCode, 0)
    assert.deepEqual([report.commands.subscribed, report.commands.refused], [0, 0])
  })

  it('ends early with its report when interrupted while running', async () => {
    await using world = await createWorld()
    const interruption = new AbortController()
    world.broker.aedes.on('publish', (_packet, client) => client && interruption.abort())
    const { exitCode, report } = await world.run({ duration: '1h' }, interruption.signal)
    assert.equal(exitCode, 0)
    assert.equal(report.interrupted, true)
    assert.ok(report.messages.published > 0)
  })

  it('ends with a report when interrupted while enrolling', async () => {
    await using world = await createWorld()
    world.provisioning.state.busy = 1_000
    const interruption = new AbortController()
    const running = world.run({ duration: '1h', devices: '500' }, interruption.signal)
    interruption.abort()
    const { exitCode, report } = await running
    assert.equal(exitCode, 0)
    assert.equal(report.interrupted, true)
    assert.equal(report.connects.attempts, 0)
  })
})
