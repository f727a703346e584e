// The simulator in MQTT 5 against Debian's mosquitto: a broker that nobody here wrote hands on what it was given, and says
// why it does not.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { scratch } from '../e2e/system.ts'
import { startControlBroker } from '../interop/control-broker.ts'
import { runText } from './fakes/run.ts'

const properties = `{ expiry: 10m, utf8: true, contentType: text/plain, responseTopic: 'devices/\${device}/answers',
          correlation: 'c-\${n}', user: [{ b: '2' }, { a: '1' }, { b: '1' }] }`
const publish = [0, 1, 2]
  .map(
    qos => `      - { topic: 'devices/\${device}/t', every: 150ms, qos: ${qos}, properties: ${properties} }`,
  )
  .join('\n')
const group = (link: string, more = '') => `
  - name: ${link}-5
    count: 2
    link: ${link}
    protocol: 5
    subscribe: [{ filter: 'devices/\${device}/#', qos: 2 }]
    publish:
${publish}${more}`

const scenario = `
name: MQTT 5 at mosquitto
groups:${group('lean', '\n    session: { topicAliases: 5, clean: false, expiry: 1m }')}${group('mqttjs')}
  - name: old
    count: 1
    protocol: 3.1
    publish: [{ topic: 'devices/\${device}/t', every: 200ms, qos: 1 }]
    subscribe: [{ filter: 'devices/\${device}/#', qos: 1 }]
  - name: trespasser
    count: 1
    protocol: 5
    publish: [{ topic: 'devices/somebody/t', every: 200ms, qos: 1 }, { topic: 'devices/somebody/t', every: 200ms, qos: 2 }]
stages: [{ kind: ramp, rate: 50 }, { kind: steady, for: 3s }, { kind: storm, for: 1h, groups: [lean-5] }]
thresholds: ['lost = 0', 'altered = 0', 'expired = 0', 'duplicated.qos2 = 0', 'reordered = 0', 'publishRefused > 0', 'unacknowledged = 0']
`

describe('the simulator in MQTT 5', () => {
  it('finds that mosquitto keeps properties, expiry and order, over a reconnect too, and says why it refuses', async () => {
    using context = scratch()
    await using broker = await startControlBroker(context.at('mosquitto'))
    const directory = context.at('devices')
    mkdirSync(directory)
    for (const id of [
      'lean-5-00001',
      'lean-5-00002',
      'mqttjs-5-00001',
      'mqttjs-5-00002',
      'old-00001',
      'trespasser-00001',
    ]) {
      const { key, certificate } = await broker.device(`sim-${id}`)
      writeFileSync(`${directory}/sim-${id}.pem`, `${key}\n${certificate}\n`)
    }
    const flags = { broker: `mqtts://127.0.0.1:${broker.port}`, ca: broker.ca, directory }
    const { summary } = await runText(scenario, flags, {
      enough: ({ population, drops, received }) =>
        population.connected === 6 && drops === 2 && received > 100,
    })
    assert.deepEqual(summary.verdict, { passed: true, exitCode: 0, breaches: [] })
    assert.ok(summary.traffic.qos2.received > 20)
    const refused = (summary.reasons['puback_0x87'] ?? 0) + (summary.reasons['pubrec_0x87'] ?? 0)
    assert.equal(summary.traffic.qos1.refused + summary.traffic.qos2.refused, refused)
    assert.ok(refused > 0)
    assert.deepEqual(
      summary.run.groups.map(({ protocol }) => protocol),
      [5, 5, 3, 5],
    )
  })
})
