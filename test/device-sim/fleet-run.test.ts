// Whole runs of an honest fleet against a broker and an API with real TLS.
import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeRequest } from '../../device-sim/enrollment/identity.ts'
import { keyTypes } from '../../device-sim/enrollment/signing-keys.ts'
import { until as waitUntil } from '../cli/running.ts'
import { runText } from './fakes/run.ts'
import { createFakeServices } from './fakes/services.ts'

/** A run that its signal ends. */
const forever = new Promise<never>(() => {})

// They wait for most of their time: some side by side.
describe('a fleet', { concurrency: 3 }, () => {
  it('enrolls, connects, publishes numbered telemetry and hears of its acknowledgements', async () => {
    await using services = await createFakeServices()
    const { broker } = services
    const until = broker.publishers(5).then(() => broker.receives(30))
    const { exitCode, summary, stdout, stderr } = await services.run({}, { until })
    assert.equal(exitCode, 0, stderr)
    assert.equal(stdout.trim().split('\n').length, 1, 'one JSON object and nothing else')
    assert.deepEqual([summary.enrollment?.enrolled, summary.enrollment?.reused], [5, 0])
    assert.equal(summary.connects.admitted, 5)
    assert.equal(summary.population.connected, 5)
    assert.equal(summary.subscriptions.granted, 5)
    const { sent, acknowledged } = summary.traffic.qos1
    assert.ok(sent > 5)
    assert.equal(acknowledged, sent)
    assert.equal(summary.acknowledgeMs.count, sent)
    const { p50, p95, p99 } = summary.acknowledgeMs
    assert.ok(p50 !== null && p95 !== null && p99 !== null && p50 > 0 && p50 <= p95 && p95 <= p99)
    assert.equal(services.broker.received.length, sent)
    for (let index = 1; index <= 5; index++) {
      const id = `sim-0000${index}`
      const own = services.broker.received.filter(({ topic }) => topic === `devices/${id}/telemetry`)
      const sequences = own.map(({ payload }) => JSON.parse(payload) as { device: string; sequence: number })
      assert.deepEqual(
        sequences.map(({ device, sequence }) => [device, sequence]),
        own.map((_, position) => [id, position + 1]),
      )
    }
  })

  for (const qos of ['0', '2'] as const) {
    it(`publishes at QoS ${qos}`, async () => {
      await using services = await createFakeServices()
      const { exitCode, summary } = await services.run({ qos, devices: '2' })
      assert.equal(exitCode, 0)
      const { sent, acknowledged } = summary.traffic[`qos${qos}`]
      assert.ok(sent > 0)
      assert.equal(acknowledged, qos === '0' ? 0 : sent)
    })
  }

  it('connects with keys of every type', async () => {
    await using services = await createFakeServices()
    const groups = keyTypes.map(type => `  - { name: ${type}, count: 2, keyType: ${type} }`).join('\n')
    const stages = 'stages:\n  - { kind: ramp, rate: 20 }\n  - { kind: steady, for: 1h }'
    const { summary } = await runText(
      `name: keys\ngroups:\n${groups}\n${stages}\n`,
      { data: services.directory },
      { enough: ({ population }) => population.connected === 2 * keyTypes.length },
    )
    assert.deepEqual(
      summary.groups.map(({ keyType, connects }) => [keyType, connects.admitted]),
      keyTypes.map(type => [type, 2]),
    )
  })

  it('counts commands that it receives', async () => {
    await using services = await createFakeServices()
    services.broker.aedes.on('subscribe', subscriptions => {
      for (const { topic } of subscriptions) {
        const command = topic.replace('#', 'blink')
        services.broker.aedes.publish(
          { cmd: 'publish', topic: command, payload: 'now', qos: 0, retain: false, dup: false },
          () => {},
        )
      }
    })
    const { summary } = await services.run({ devices: '3' })
    assert.equal(summary.traffic.qos0.received, 3)
  })

  it('keeps keys to itself and uses them again', async () => {
    await using services = await createFakeServices()
    const first = await services.run()
    const devicesDir = join(services.keysDir, 'devices')
    assert.equal((await stat(services.keysDir)).mode & 0o777, 0o700)
    const names = (await readdir(devicesDir)).sort()
    assert.deepEqual(
      names,
      ['1', '2', '3', '4', '5'].map(n => `sim-0000${n}.pem`),
    )
    for (const name of names) assert.equal((await stat(join(devicesDir, name))).mode & 0o777, 0o600)
    const before = await readFile(join(devicesDir, 'sim-00003.pem'), 'utf8')
    const second = await services.run()
    assert.equal(await readFile(join(devicesDir, 'sim-00003.pem'), 'utf8'), before)
    assert.deepEqual([first.summary.enrollment?.enrolled, second.summary.enrollment?.enrolled], [5, 0])
    assert.equal(second.summary.enrollment?.reused, 5)
    assert.equal(second.exitCode, 0)
    assert.equal(services.roll.certificates.size, 5)
  })

  it('enrolls again only what is missing, damaged, revoked or unknown', async () => {
    await using services = await createFakeServices()
    await services.run()
    const devicesDir = join(services.keysDir, 'devices')
    await writeFile(join(devicesDir, 'sim-00001.pem'), 'half a file')
    const certificates = [...services.roll.certificates.values()]
    const of = (id: string) => certificates.find(({ deviceId }) => deviceId === id)!
    of('sim-00002').status = 'revoked'
    services.roll.certificates.delete(of('sim-00003').fingerprint)
    const { exitCode, summary } = await services.run({ devices: '6' })
    assert.equal(exitCode, 0)
    assert.deepEqual(summary.enrollment?.causes, {
      missing: 2,
      expiring: 0,
      other_key_type: 0,
      not_on_roll: 2,
    })
    assert.equal(summary.enrollment?.reused, 2)
  })

  it('enrolls again for another key type', async () => {
    await using services = await createFakeServices()
    await services.run({ devices: '1' })
    const { exitCode, summary } = await services.run({ devices: '1', keyType: 'ed25519' })
    assert.equal(exitCode, 0)
    assert.equal(summary.enrollment?.causes.other_key_type, 1)
  })

  it('enrolls again where a certificate would run out during the run', async () => {
    await using services = await createFakeServices()
    await services.run({ devices: '1' })
    const [certificate] = [...services.roll.certificates.values()]
    const kept = join(services.keysDir, 'devices', 'sim-00001.pem')
    const { key, csr } = await makeRequest('sim-00001', 'p256')
    const soon = new Date(Date.now() + 60_000)
    const { pem, fingerprint } = await services.authority.issue(csr, 'sim-00001', soon)
    services.roll.certificates.set(fingerprint, { ...certificate!, fingerprint, notAfter: soon })
    await writeFile(kept, key + pem)
    const { exitCode, summary } = await services.run({ devices: '1' })
    assert.equal(exitCode, 0)
    assert.equal(summary.enrollment?.causes.expiring, 1)
  })

  it('waits out a busy API', async () => {
    await using services = await createFakeServices()
    services.provisioning.state.busy = 4
    const { exitCode, summary } = await services.run()
    assert.equal(exitCode, 0)
    assert.equal(summary.enrollment?.apiRetries, 4)
  })

  it('comes back after the broker dropped everyone, and counts what was in flight', async () => {
    await using services = await createFakeServices()
    const everyoneIsBack = new AbortController()
    let admissions = 0
    services.broker.aedes.on('client', () => ++admissions === 6 && everyoneIsBack.abort())
    // A publishing device has seen its CONNACK: before that, being closed on is no drop.
    const publishing = new Set<string>()
    const telemetry = new Promise<void>(resolve => {
      services.broker.aedes.on('publish', (_packet, client) => {
        if (client && publishing.add(client.id).size === 3) resolve()
      })
    })
    const running = services.run({ devices: '3' }, { signal: everyoneIsBack.signal, until: forever })
    await telemetry
    services.broker.dropEveryone()
    const { summary } = await running
    assert.equal(
      Object.values(summary.drops).reduce((all, count) => all + count, 0),
      3,
    )
    assert.equal(admissions, 6)
    const { sent, acknowledged, unacknowledged } = summary.traffic.qos1
    assert.equal(sent, acknowledged + unacknowledged)
  })

  it('expects the refusals of a device that an operator has suspended', async () => {
    await using services = await createFakeServices()
    await services.run({ devices: '2' })
    services.roll.devices.get('sim-00002')!.state = 'suspended'
    // It comes back once it has seen its refusal.
    const refusals = () => services.broker.refused.filter(reason => reason === 'suspended').length
    const until = waitUntil(() => refusals() > 1, 'it was refused twice')
    const { exitCode, summary } = await services.run({ devices: '2' }, { until })
    assert.deepEqual(summary.wronglyRefused, { count: 0, first: [] })
    // That it is not connected is what the run promised all the same.
    assert.equal(exitCode, 99)
    assert.deepEqual(summary.verdict.breaches, ['fleet: connected = 100% (50 %)'])
  })

  it('fails with 99 where its own commands may not be subscribed to', async () => {
    await using services = await createFakeServices()
    services.broker.aedes.authorizeSubscribe = (_client, _subscription, done) => done(null, null)
    const { exitCode, summary } = await services.run({ devices: '1' })
    assert.equal(exitCode, 99)
    assert.deepEqual(summary.subscriptions, { granted: 0, refused: 1 })
  })

  it('does not call a subscription refused that was never answered', async () => {
    await using services = await createFakeServices()
    const asked = new Promise<void>(resolve => {
      services.broker.aedes.authorizeSubscribe = () => resolve()
    })
    const { exitCode, summary } = await services.run({ devices: '1' }, { until: asked })
    assert.equal(exitCode, 0)
    assert.deepEqual(summary.subscriptions, { granted: 0, refused: 0 })
  })

  it('ends early with its report when interrupted while running', async () => {
    await using services = await createFakeServices()
    const interruption = new AbortController()
    services.broker.aedes.on('publish', (_packet, client) => client && interruption.abort())
    const { exitCode, summary } = await services.run({}, { signal: interruption.signal, until: forever })
    assert.equal(exitCode, 1)
    assert.equal(summary.interrupted, true)
    assert.ok(summary.traffic.qos1.sent > 0)
  })

  it('says so when interrupted while enrolling', async () => {
    await using services = await createFakeServices()
    services.provisioning.state.busy = 1_000
    const interruption = new AbortController()
    const running = services.run({ devices: '500' }, { signal: interruption.signal, until: forever })
    interruption.abort()
    const { exitCode, stderr } = await running
    assert.equal(exitCode, 1)
    assert.match(stderr, /interrupted/)
    assert.equal(services.broker.received.length, 0)
  })
})
