// Loss, duplication and disorder as the simulator counts them, held against a broker that did them on purpose.
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import fc from 'fast-check'
import { makeRequest } from '../../../device-sim/identity.ts'
import { createAuthority } from '../fakes/authority.ts'
import { startLossyBroker } from '../fakes/lossy-broker.ts'
import { runText } from '../fakes/run.ts'

const RUNS = 3

it('counts exactly what a broker loses, doubles and swaps, at every QoS and across workers', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'rollcall-sim-'))
  try {
    const authority = await createAuthority()
    for (let number = 1; number <= 6; number++) {
      const { key, csr } = await makeRequest(`d${number}`, 'p256')
      const { pem } = await authority.issue(csr, `d${number}`, new Date(Date.now() + 86_400_000))
      await writeFile(join(directory, `d${number}.pem`), key + pem)
    }
    await writeFile(join(directory, 'ca.crt'), authority.rootPem)
    const rate = fc.double({ min: 0, max: 0.3, noNaN: true })
    await fc.assert(
      fc.asyncProperty(fc.nat(), rate, rate, rate, async (seed, lose, double, swap) => {
        const server = { key: authority.serverKey, cert: authority.serverChain }
        const order = { late: (id: string) => id >= 'd4', subscribers: 3 }
        await using broker = await startLossyBroker(server, { seed, lose, double, swap }, order)
        const flags = { broker: broker.url, ca: join(directory, 'ca.crt'), directory }
        const { summary } = await runText(scenario, flags)
        const counted = [summary.traffic.qos0, summary.traffic.qos1, summary.traffic.qos2].map(
          ({ received, lost, duplicated, reordered }) => ({ received, lost, duplicated, reordered }),
        )
        assert.deepEqual(counted, broker.truth())
        assert.ok(counted.every(({ received }) => received > 0))
        assert.equal(summary.traffic.qos1.acknowledged, summary.traffic.qos1.sent)
        assert.equal(summary.traffic.qos2.acknowledged, summary.traffic.qos2.sent)
      }),
      { numRuns: RUNS },
    )
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

const publish = [0, 1, 2].map(qos => `      - { topic: 'up/${qos}/\${device}', every: 40ms, qos: ${qos} }`)
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
stages:
  - { kind: ramp, rate: 20, groups: [listeners, listeners-1], for: 700ms }
  - { kind: ramp, rate: 50, groups: [senders] }
  - { kind: steady, for: 2s }
`
