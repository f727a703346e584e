// Whole scenarios with worker processes against a broker and an API with real TLS.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runText } from '../fakes/run.ts'
import { createFakeServices } from '../fakes/services.ts'

const topic = (rest: string) => `'devices/\${device}/${rest}'`

// They wait for most of their time: some side by side.
describe('a scenario', { concurrency: 3 }, () => {
  it('connects its groups, numbers their messages and finds nothing missing', async () => {
    await using services = await createFakeServices()
    const { summary, samples } = await runText(
      `
name: whole
workers: 2
groups:
  - name: lean
    count: 6
    publish: [{ topic: ${topic('up')}, every: 100ms, qos: 1 }]
    subscribe: [{ filter: ${topic('#')}, qos: 1 }]
  - name: thick
    count: 3
    link: mqttjs
    publish: [{ topic: ${topic('up')}, every: 100ms, qos: 2, payload: { random: { bytes: 50 } } }]
    subscribe: [{ filter: ${topic('#')}, qos: 2 }]
stages:
  - { kind: ramp, rate: 100, arrival: poisson }
  - { kind: steady, for: 1h }
thresholds: ['lost = 0', 'connected = 100%', 'unacknowledged = 0']
`,
      { data: services.directory },
      { enough: ({ population, received }) => population.connected === 9 && received > 50 },
    )
    assert.deepEqual(summary.verdict, { passed: true, exitCode: 0, breaches: [] })
    assert.deepEqual([summary.connects.attempts, summary.connects.admitted], [9, 9])
    assert.equal(summary.population.connected, 9)
    const { qos1, qos2 } = summary.traffic
    assert.ok(qos1.sent >= 12 && qos2.sent >= 6, `${qos1.sent} and ${qos2.sent} sent`)
    for (const traffic of [qos1, qos2]) {
      assert.deepEqual([traffic.acknowledged, traffic.received], [traffic.sent, traffic.sent])
    }
    assert.equal(summary.deliverMs.count, qos1.received + qos2.received)
    assert.equal(summary.run.workers, 2)
    const sum = samples.reduce((all, sample) => all + sample.traffic.qos1.sent, 0)
    assert.equal(sum, qos1.sent, 'samples add up to the summary')
  })

  it('holds every refusal against what should have happened', async () => {
    await using services = await createFakeServices({ forgive: ['suspended'] })
    const rogue = (name: string) =>
      `  - { name: ${name}, count: 1, fault: ${name}, reconnect: { never: true } }`
    const kinds = [
      'no-certificate',
      'unlisted',
      'foreign-ca',
      'self-signed',
      'expired',
      'revoked',
      'suspended',
    ]
    const { summary } = await runText(
      `
name: rogues
groups:
  - { name: honest, count: 2 }
${[...kinds, 'stolen-client-id'].map(rogue).join('\n')}
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 1h }]
`,
      { data: services.directory },
      {
        // The suspended one is let in, the others are turned away for a reason each.
        enough: ({ admitted, refusals }) =>
          admitted >= 3 &&
          Object.values(refusals).reduce((all, one) => all + one.expected, 0) >= kinds.length,
      },
    )
    assert.deepEqual(
      summary.wronglyAdmitted.first.map(({ device, group, how, why }) => ({ device, group, how, why })),
      [{ device: 'sim-suspended-00001', group: 'suspended', how: 'admitted', why: 'suspended' }],
    )
    assert.equal(summary.verdict.exitCode, 99)
    const expected = Object.values(summary.refusals).reduce((all, one) => all + one.expected, 0)
    assert.equal(expected, kinds.length, 'everybody else was turned away')
    assert.equal(summary.wronglyRefused.count, 0)
  })

  it('counts devices refused without a reason', async () => {
    await using services = await createFakeServices()
    services.broker.aedes.authenticate = (_client, _user, _password, done) =>
      done(Object.assign(new Error('no'), { returnCode: 5 }), false)
    const { summary } = await runText(
      `
name: refused
groups: [{ name: honest, count: 2, reconnect: { never: true } }]
stages: [{ kind: ramp, rate: 50, for: 1h }]
`,
      { data: services.directory },
      { enough: ({ refusals }) => refusals['connack_5']?.unexpected === 2 },
    )
    assert.deepEqual(summary.refusals, { connack_5: { expected: 0, unexpected: 2 } })
    assert.equal(summary.wronglyRefused.count, 2)
    assert.equal(summary.verdict.exitCode, 99)
  })

  it('gets certificates although every first answer is lost', async () => {
    await using services = await createFakeServices()
    const { summary } = await runText(
      `
name: lost
groups: [{ name: unlucky, count: 3, fault: lost-answer }]
stages: [{ kind: ramp, rate: 50, for: 1h }]
`,
      { data: services.directory },
      { enough: ({ admitted }) => admitted === 3 },
    )
    assert.deepEqual([summary.enrollment?.answersLost, summary.enrollment?.answersRecovered], [3, 3])
    assert.equal(summary.connects.admitted, 3)
  })

  it('survives a broker that dies, and shows it', async () => {
    await using services = await createFakeServices()
    const lost = Promise.withResolvers<void>()
    const { summary, events } = await runText(
      `
name: dying
groups: [{ name: honest, count: 3, reconnect: { first: 100ms, most: 200ms } }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 1h }]
`,
      { data: services.directory },
      {
        onSample: sample =>
          sample.elapsedSeconds > 1 && sample.population.connected === 3 && services.broker.stop(),
        onEvent: ({ kind }) => kind === 'broker_lost' && lost.resolve(),
        until: lost.promise,
      },
    )
    assert.ok(events.some(({ kind }) => kind === 'broker_lost'))
    assert.ok((summary.failures['unreachable_econnrefused'] ?? 0) > 0)
    assert.equal(summary.population.connected, 0)
  })

  it('ends at once with its summary when interrupted, and proves nothing by it', async () => {
    await using services = await createFakeServices()
    const interruption = new AbortController()
    const { summary } = await runText(
      `
name: interrupted
groups: [{ name: honest, count: 2 }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 24h }]
thresholds: ['sent > 1000000']
`,
      { data: services.directory },
      {
        signal: interruption.signal,
        onSample: ({ population }) => population.connected === 2 && interruption.abort(),
      },
    )
    assert.equal(summary.interrupted, true)
    assert.deepEqual([summary.connects.admitted, summary.verdict.exitCode], [2, 1])
  })
})
