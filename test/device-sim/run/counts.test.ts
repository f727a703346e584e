// Loss, duplication and disorder as the simulator counts them, held against a broker that did them on purpose.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import fc from 'fast-check'
import { makeRequest } from '../../../device-sim/enrollment/identity.ts'
import { createAuthority } from '../fakes/authority.ts'
import { countedOf, startLossyBroker } from '../fakes/lossy-broker.ts'
import { startLateDeliverer } from '../fakes/lying-brokers.ts'
import { runText } from '../fakes/run.ts'

const RUNS = { node: 3, bun: 1 }
const LISTENERS = 3
/** Messages to listeners at each QoS, after which a run has shown enough. */
const GIVEN = 250

async function fleet() {
  const directory = await mkdtemp(join(tmpdir(), 'rollcall-sim-'))
  const authority = await createAuthority()
  for (let number = 1; number <= 6; number++) {
    const { key, csr } = await makeRequest(`d${number}`, 'p256')
    const { pem } = await authority.issue(csr, `d${number}`, new Date(Date.now() + 86_400_000))
    await writeFile(join(directory, `d${number}.pem`), key + pem)
  }
  await writeFile(join(directory, 'ca.crt'), authority.rootPem)
  return {
    server: { key: authority.serverKey, cert: authority.serverChain },
    order: { late: (id: string) => id > `d${LISTENERS}`, subscribers: LISTENERS },
    flags: { ca: join(directory, 'ca.crt'), directory },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

const rate = fc.double({ min: 0, max: 0.3, noNaN: true })

for (const runtime of ['node', 'bun'] as const)
  it(`counts exactly what a broker loses, doubles and swaps, at every QoS and across workers on ${runtime}`, async () => {
    await using devices = await fleet()
    const { server, order, flags } = devices
    await fc.assert(
      fc.asyncProperty(fc.nat(), rate, rate, rate, async (seed, lose, double, swap) => {
        await using broker = await startLossyBroker(server, { seed, lose, double, swap }, order)
        const { summary } = await runText(
          scenario,
          { ...flags, broker: broker.url },
          { until: broker.gave(GIVEN), runtime },
        )
        const { qos0, qos1, qos2 } = summary.traffic
        assert.deepEqual([qos0, qos1, qos2].map(countedOf), broker.truth())
        assert.ok([qos0, qos1, qos2].every(({ received }) => received > 0))
        assert.equal(qos1.acknowledged, qos1.sent)
        assert.equal(qos2.acknowledged, qos2.sent)
        assert.deepEqual(summary.reasons, {})
      }),
      { numRuns: RUNS[runtime] },
    )
  })

it('does not call lost what a broker delivers after a second of silence', async () => {
  using broker = await startLateDeliverer(1_000)
  const { summary } = await runText(
    `
name: late deliveries
groups:
  - name: devices
    count: 1
    subscribe: [{ filter: 'own/#', qos: 0 }]
    publish: [{ topic: 'own/\${device}', every: 50ms, qos: 1 }]
stages:
  - { kind: ramp, rate: 50 }
  - { kind: steady, for: 300ms }
`,
    { broker: broker.url, identities: 'none' },
  )
  const { acknowledged, lost } = summary.traffic.qos1
  const { received } = summary.traffic.qos0
  assert.ok(acknowledged > 0)
  assert.deepEqual([received, lost + summary.traffic.qos0.lost], [acknowledged, 0])
})

for (const runtime of ['node', 'bun'] as const)
  it(`counts in MQTT 5 also what it refuses, alters and misdates, and every reason code, on ${runtime}`, async () => {
    await using devices = await fleet()
    const { server, order, flags } = devices
    const tampering = fc.record({ refuse: rate, alter: rate, misdate: rate })
    const property = fc.asyncProperty(
      fc.nat(),
      rate,
      rate,
      rate,
      tampering,
      async (seed, lose, double, swap, more) => {
        await using broker = await startLossyBroker(server, { seed, lose, double, swap, ...more }, order)
        const { summary } = await runText(
          scenarioV5,
          { ...flags, broker: broker.url },
          { until: broker.gave(GIVEN), runtime },
        )
        const { qos0, qos1, qos2 } = summary.traffic
        assert.deepEqual([qos0, qos1, qos2].map(countedOf), broker.truth())
        assert.ok([qos0, qos1, qos2].every(({ received }) => received > 0))
        for (const one of [qos1, qos2]) assert.equal(one.acknowledged + one.refused, one.sent)
        assert.deepEqual(summary.reasons, broker.reasons)
      },
    )
    await fc.assert(property, {
      numRuns: RUNS[runtime],
      examples: [
        ...(runtime === 'node' ? [[1, 0, 0, 0, { refuse: 0, alter: 0, misdate: 0 }] as const] : []),
        [2, 0, 0, 0, { refuse: 0.2, alter: 0.4, misdate: 0.4 }],
      ],
    })
  })

const publish = [0, 1, 2].map(qos => `      - { topic: 'up/${qos}/\${device}', every: 40ms, qos: ${qos} }`)
const stages = `
stages:
  - { kind: ramp, rate: 20, groups: [listeners, listeners-1], for: 700ms }
  - { kind: ramp, rate: 50, groups: [senders] }
  - { kind: steady, for: 1h }
`
const scenario = `
name: lossy
workers: 2
groups:
  - name: listeners
    count: 2
    subscribe: [{ filter: 'up/#', qos: 2 }]
  - name: listeners-1
    count: 1
    link: mqttjs
    subscribe: [{ filter: 'up/#', qos: 1 }]
  - name: senders
    count: 3
    publish:
${publish.join('\n')}
${stages}`

const properties = `{ expiry: 1h, utf8: true, contentType: text/plain, responseTopic: 'answers/\${device}', correlation: 'of \${n}',
          user: [{ 'room': '\${device}' }, { a: '1' }, { b: '2' }, { a: '3' }] }`
const publishV5 = [0, 1, 2].map(
  qos => `      - { topic: 'up/${qos}/\${device}', every: 40ms, qos: ${qos}, properties: ${properties} }`,
)
const scenarioV5 = `
name: lying
workers: 2
groups:
  - name: listeners
    count: 2
    protocol: 5
    session: { topicAliases: 4 }
    subscribe: [{ filter: 'up/#', qos: 2 }]
  - name: listeners-1
    count: 1
    protocol: 5
    link: mqttjs
    subscribe: [{ filter: 'up/#', qos: 1 }]
  - name: senders
    count: 2
    protocol: 5
    session: { topicAliases: 3 }
    publish:
${publishV5.join('\n')}
  - name: senders-js
    count: 1
    protocol: 5
    link: mqttjs
    publish:
${publishV5.join('\n')}
${stages.replace('[senders]', '[senders, senders-js]')}`
