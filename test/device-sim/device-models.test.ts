// The presets of devices one knows, as their consumers read them: all of them at once against one broker.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { createGenerator } from '../../device-sim/fleet/payload.ts'
import { asksForRebirth } from '../../device-sim/fleet/sparkplug-command.ts'
import { loadScenario, presetText } from '../../device-sim/scenario/load.ts'
import { presetNames } from '../../device-sim/scenario/presets.ts'
import { type PlainBroker, startPlainBroker } from './fakes/plain-broker.ts'
import { runText } from './fakes/run.ts'
import { decodePayload } from './fakes/sparkplug-reader.ts'

const models = ['meter', 'thermostat', 'tracker', 'gateway', 'charger', 'sparkplug', 'home-assistant']

type Group = {
  name: string
  count: number
  fault?: string
  publish?: { every?: string; topic: string; jitter?: string }[]
}

/** Two devices of each group, each message every 100 ms. */
function together(): string {
  const scenarios = models.map(name => parse(presetText(name)) as { groups: Group[] })
  const groups = scenarios.flatMap(scenario => scenario.groups).filter(group => group.fault === undefined)
  for (const group of groups) {
    group.count = Math.min(2, group.count)
    for (const one of group.publish ?? []) if (one.every !== undefined) one.every = '100ms'
  }
  const listeners = ['host', 'central']
  const others = groups.map(({ name }) => name).filter(name => !listeners.includes(name))
  const stages = [
    { kind: 'ramp', rate: 100, groups: listeners },
    { kind: 'ramp', rate: 100, groups: others },
    { kind: 'steady', for: '1s' },
  ]
  return JSON.stringify({ name: 'models', groups, stages, thresholds: ['lost = 0'] })
}

describe('the devices one knows', () => {
  it('are a page each, and can be run', () => {
    for (const name of models) {
      assert.ok(presetNames().includes(name), name)
      assert.ok(presetText(name).split('\n').length <= 60, `${name} is a page`)
      assert.ok(loadScenario(name).plan.groups.length > 0)
    }
  })

  it('send what their consumers expect', async () => {
    await using broker = await startPlainBroker()
    const { summary } = await runText(together(), { broker: broker.url })
    assert.deepEqual(summary.verdict.breaches, [])
    isSparkplug(broker)
    isHomeAssistant(broker)
    isOcpp(broker)
    const position = JSON.parse(String(ofTopic(broker, /position$/)[0]?.payload))
    assert.equal(position.geometry.type, 'Point')
    assert.ok(position.geometry.coordinates.every((one: unknown) => typeof one === 'number'))
    const power = JSON.parse(String(ofTopic(broker, /power$/)[0]?.payload))
    assert.ok(
      power.voltage.every((volts: number) => volts > 200 && volts < 260),
      JSON.stringify(power),
    )
  })
})

function ofTopic({ received }: PlainBroker, pattern: RegExp) {
  return received.filter(({ topic }) => pattern.test(topic))
}

/** Sparkplug B 3.0: tck-id-payloads-nbirth-bdseq, -nbirth-seq, -sequence-num-incrementing, -ndeath-bdseq, -ndeath-seq. */
function isSparkplug(broker: PlainBroker): void {
  for (const node of ['sim-edge-00001', 'sim-edge-00002']) {
    const own = ofTopic(broker, new RegExp(`^spBv1.0/plant/[ND](BIRTH|DATA|DEATH)/${node}(/press)?$`)).map(
      message => ({
        ...message,
        kind: message.topic.split('/')[2],
        decoded: decodePayload(message.payload),
      }),
    )
    assert.deepEqual([own[0]?.kind, own.at(-1)?.kind], ['NBIRTH', 'NDEATH'])
    const numbered = own.filter(({ kind }) => kind !== 'NDEATH')
    assert.ok(numbered.length > 5)
    // A birth begins at 0, also where a host asked for it.
    let seq = -1
    for (const { kind, decoded } of numbered) {
      seq = kind === 'NBIRTH' ? 0 : (seq + 1) % 256
      assert.equal(decoded.seq, seq)
    }
    // tck-id-operational-behavior-data-commands-rebirth-action-2, -3: all births, in the same session.
    const births = numbered.flatMap(({ kind }, index) => (kind === 'NBIRTH' ? [index] : []))
    assert.ok(births.length > 1, 'the host asked for a rebirth')
    for (const index of births) {
      assert.equal(numbered[index + 1]?.kind, 'DBIRTH')
      const [bdSeq] = numbered[index]?.decoded.metrics ?? []
      assert.deepEqual([bdSeq?.name, bdSeq?.value], ['bdSeq', 0])
    }
    const metrics = own[0]?.decoded.metrics ?? []
    assert.deepEqual(
      metrics.map(({ name, type }) => `${name} ${type}`),
      [
        'bdSeq Int64',
        'Node Control/Rebirth Boolean',
        'Line/Temperature Double',
        'Line/Running Boolean',
        'Line/Parts Int64',
        'Line/Batch String',
      ],
    )
    assert.ok(Math.abs(Number(metrics[2]?.value) - 71) < 10, String(metrics[2]?.value))
    assert.equal(metrics[3]?.value, true)
    const death = own.at(-1)
    assert.deepEqual(
      death?.decoded.metrics?.map(({ name, value }) => [name, Number(value)]),
      [['bdSeq', 0]],
    )
    assert.equal(death?.decoded.seq ?? null, null)
    assert.deepEqual([own[0]?.qos, own[0]?.retain, death?.qos, death?.retain], [0, false, 1, false])
    const pressure = Number(own.find(({ kind }) => kind === 'DDATA')?.decoded.metrics?.[0]?.value)
    assert.ok(pressure >= 180 && pressure <= 210, String(pressure))
  }
}

function isHomeAssistant(broker: PlainBroker): void {
  const [config] = ofTopic(broker, /^homeassistant\/sensor\/sim-sensors-00001_temperature\/config$/)
  assert.ok(config?.retain)
  const read = JSON.parse(String(config.payload))
  const states = ofTopic(broker, new RegExp(`^${read.state_topic}$`))
  assert.ok(states.length > 0)
  assert.equal(typeof JSON.parse(String(states[0]?.payload)).temperature, 'number')
  const seen = ofTopic(broker, new RegExp(`^${read.availability_topic}$`)).map(({ payload }) =>
    String(payload),
  )
  assert.deepEqual(seen, ['online', 'offline'])
}

it('an edge node is asked for its births by a command of its host alone, and by no other bytes', () => {
  const plan = { message: 'NCMD', metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value: true }] }
  const made = (change: object = {}) =>
    createGenerator({ sparkplug: { ...plan, ...change } } as Parameters<typeof createGenerator>[0])(
      { device: '', n: '', sequence: 1, clock: 0, random: () => 0 },
      { bdSeq: 0, seq: 0 },
    ) as Buffer
  const topic = 'spBv1.0/plant/NCMD/edge'
  assert.equal(decodePayload(made()).seq, null)
  assert.ok(asksForRebirth(topic, made()))
  const other = (change: object) => made({ metrics: [{ ...plan.metrics[0], ...change }] })
  assert.ok(!asksForRebirth(topic, other({ value: false })))
  assert.ok(!asksForRebirth(topic, other({ name: 'Node Control/Reboot' })))
  for (const wrong of ['spBv1.0/plant/NDATA/edge', 'spBv1.0/plant/NCMD/edge/press', 'a/NCMD/edge'])
    assert.ok(!asksForRebirth(wrong, made()))
  fc.assert(
    fc.property(fc.uint8Array(), bytes => typeof asksForRebirth(topic, Buffer.from(bytes)) === 'boolean'),
  )
  for (let length = 0; length < made().length; length++) {
    assert.ok(!asksForRebirth(topic, made().subarray(0, length)), `${length} bytes`)
  }
})

/** Each call has one result with its ID. */
function isOcpp(broker: PlainBroker): void {
  const calls = ofTopic(broker, /ocpp\/calls$/).map(({ payload }) => JSON.parse(String(payload)))
  const results = ofTopic(broker, /commands\/ocpp$/).map(({ payload }) => JSON.parse(String(payload)))
  assert.ok(calls.length > 10)
  for (const call of calls) assert.deepEqual([call[0], call.length], [2, 4])
  assert.equal(new Set(calls.map(([, id]) => id)).size, calls.length)
  const known = new Set(calls.map(([, id]) => id))
  for (const [kind, id] of results) assert.ok(kind === 3 && known.has(id), id)
  assert.ok(results.length > 10)
  assert.ok(calls.some(([, , action]) => action === 'BootNotification'))
}
