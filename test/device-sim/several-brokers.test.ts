// One scenario against brokers of different makers, with an observer between: what the simulator counts is what went over the wire.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import type { RuntimeName } from '../../device-sim/workers/runtime.ts'
import { startMosquitto } from '../e2e/mosquitto-server.ts'
import { scratch } from '../e2e/system.ts'
import { startCountingProxy } from './fakes/counting-proxy.ts'
import { startPlainBroker } from './fakes/plain-broker.ts'
import { runText } from './fakes/run.ts'

const publish = (topQos: number) =>
  [0, 1, 2]
    .slice(0, topQos + 1)
    .map(
      qos =>
        `{ topic: 'devices/\${device}/t${qos}', every: 100ms, qos: ${qos}, payload: { random: { bytes: 200 } } }`,
    )
    .join(', ')
const scenario = (protocol: string, topQos: number) => `
name: one for all
groups:
  - name: readers
    count: 2
    protocol: ${protocol}
    subscribe: [{ filter: 'devices/#', qos: ${topQos} }]
  - name: fleet
    count: 5
    protocol: ${protocol}
    publish: [${publish(topQos)}]
stages:
  - { kind: ramp, rate: 100, groups: [readers], for: 300ms }
  - { kind: ramp, rate: 100, groups: [fleet] }
  - { kind: steady, for: 1s }
thresholds: ['lost = 0', 'duplicated = 0', 'connected = 100%', 'unacknowledged = 0', 'received > 0']
`

async function agrees(
  port: number,
  protocol: string,
  topQos: number,
  runtime: RuntimeName = 'node',
): Promise<void> {
  using proxy = await startCountingProxy(port)
  const { summary } = await runText(scenario(protocol, topQos), { broker: proxy.url }, { runtime })
  assert.deepEqual(summary.verdict, { passed: true, exitCode: 0, breaches: [] })
  const { counts } = proxy
  const each = Object.values(summary.traffic)
  assert.deepEqual(
    each.map(({ sent }) => sent),
    counts.sent,
  )
  assert.deepEqual(
    each.map(({ received }) => received),
    counts.received,
  )
  const sum = (of: 'sentBytes' | 'receivedBytes') => each.reduce((all, one) => all + one[of], 0)
  assert.deepEqual([sum('sentBytes'), sum('receivedBytes')], [counts.sentBytes, counts.receivedBytes])
  assert.equal(counts.sentBytes, counts.sent.reduce((all, one) => all + one, 0) * 200)
  assert.equal(summary.connects.admitted, counts.connects)
  assert.equal(summary.traffic.qos1.acknowledged, counts.pubacks)
}

const answers = (port: number) =>
  new Promise<boolean>(resolve => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

describe('one scenario, counted by the simulator and by an observer', () => {
  for (const [protocol, runtime] of [
    ["'3.1.1'", 'node'],
    ['5', 'node'],
    ['5', 'bun'],
  ] as const) {
    it(`at mosquitto in MQTT ${protocol}, devices on ${runtime}`, async () => {
      using context = scratch()
      await using mosquitto = await startMosquitto(port => {
        writeFileSync(context.at('m.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`)
        return context.at('m.conf')
      }, answers)
      await agrees(mosquitto.port, protocol, 2, runtime)
    })
  }

  it('at aedes alone', async () => {
    await using broker = await startPlainBroker()
    await agrees(broker.port, "'3.1.1'", 2)
  })

  // Debian's 2.9.10 speaks 3.1.1 and no QoS 2.
  it('at nats-server', async () => {
    using context = scratch()
    mkdirSync(context.at('store'))
    await using nats = await startMosquitto(
      port => {
        const text = `server_name: one\nlisten: "127.0.0.1:-1"\njetstream { store_dir: "${context.at('store')}" }\nmqtt { listen: "127.0.0.1:${port}" }\n`
        writeFileSync(context.at('nats.conf'), text)
        return context.at('nats.conf')
      },
      answers,
      'nats-server',
    )
    await agrees(nats.port, "'3.1.1'", 1)
  })
})
