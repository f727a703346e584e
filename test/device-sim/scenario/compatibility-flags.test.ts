// `sim conn|pub|sub`: flags as emqtt-bench has them become a plan like any other.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BadUsage } from '../../../device-sim/failure.ts'
import { readBenchHeaders, withBenchHeaders } from '../../../device-sim/fleet/bench-headers.ts'
import { deviceIdIn } from '../../../device-sim/fleet/group.ts'
import { withHeader } from '../../../device-sim/fleet/payload.ts'
import {
  type CompatibilityFlags,
  compatibilityPlan,
} from '../../../device-sim/scenario/compatibility-flags.ts'
import { quickPlan } from '../../../device-sim/scenario/quick.ts'

describe('familiar flags', () => {
  it('make a publishing fleet', () => {
    const plan = compatibilityPlan('pub', {
      count: '20',
      startnumber: '100',
      interval: '4',
      interval_of_msg: '250',
      topic: 'bench/%i/%c',
      size: '64',
      qos: '2',
      keepalive: '30',
      ifaddr: '127.0.0.2,127.0.0.3',
    })
    const [group] = plan.groups
    assert.ok(group)
    const [publish] = group.publish
    assert.deepEqual([publish?.everyMs, publish?.qos, publish?.payload], [250, 2, { random: { bytes: 64 } }])
    assert.equal(publish?.topic, `bench/\${number}/\${device}`)
    assert.deepEqual(
      [group.count, group.session.keepAliveSeconds, deviceIdIn(group, 0)],
      [20, 30, 'sim-bench-00101'],
    )
    assert.deepEqual(plan.sources, ['127.0.0.2', '127.0.0.3'])
    const [ramp] = plan.stages
    assert.equal(ramp?.kind === 'ramp' && ramp.rate, 250)
  })

  it('subscribe to what is named, or to their own', () => {
    assert.equal(compatibilityPlan('sub', { topic: 'a/#' }).groups[0]?.subscribe[0]?.filter, 'a/#')
    assert.match(compatibilityPlan('sub', {}).groups[0]?.subscribe[0]?.filter ?? '', /^devices\/.+\/#$/)
    assert.deepEqual(compatibilityPlan('conn', {}).groups[0]?.publish, [])
  })

  it('name the version of MQTT as mosquitto, emqtt-bench and MQTTX do', () => {
    const levels = { mqttv31: 3, 3: 3, '3.1.1': 4, 311: 4, 4: 4, 5: 5, mqttv5: 5 }
    for (const [mqttVersion, level] of Object.entries(levels)) {
      for (const { groups } of [
        compatibilityPlan('pub', { mqttVersion }),
        quickPlan({ mqttVersion, rogues: true }),
      ]) {
        assert.deepEqual(new Set(groups.map(({ protocol }) => protocol)), new Set([level]))
      }
    }
    assert.equal(compatibilityPlan('conn', {}).groups[0]?.protocol, 5)
    assert.equal(quickPlan({}).groups[0]?.protocol, 4)
    for (const mqttVersion of ['6', 'mqttv6', 'constructor', '']) {
      assert.throws(() => compatibilityPlan('pub', { mqttVersion }), /-V: expected 3, 4, 5/)
    }
  })

  it('that make no sense are all named', () => {
    assert.throws(
      () => compatibilityPlan('pub', { count: '0', qos: '3', connrate: 'fast', ifaddr: 'lo' }),
      (error: unknown) => {
        assert.ok(error instanceof BadUsage)
        assert.deepEqual(
          error.problems.map(problem => problem.split(': ')[1]),
          ['-c', '-q', '-R or -i'],
        )
        return true
      },
    )
  })

  it('give client IDs and topics as emqtt-bench makes them', () => {
    const ids = (verb: 'pub' | 'sub', flags: CompatibilityFlags) => {
      const [group] = compatibilityPlan(verb, flags).groups
      return group ? deviceIdIn(group, 0) : ''
    }
    assert.equal(ids('pub', { prefix: 'load', startnumber: '9' }), 'load_bench_pub_10')
    assert.equal(ids('sub', { prefix: 'load', shortids: true }), 'load1')
    assert.equal(ids('sub', { shortids: 'true' }), '1')
    assert.equal(ids('pub', { clientId: 'mqttx_%i_x' }), 'mqttx_1_x')
    assert.equal(ids('pub', { clientId: 'mqttx' }), 'mqttx_1')
    const [group] = compatibilityPlan('pub', { topic: 'a/%u/%s', username: 'me' }).groups
    assert.equal(group?.publish[0]?.topic, `a/me/\${seq}`)
    assert.throws(() => compatibilityPlan('pub', { topic: 'a/%u' }), /%u is the user name/)
  })

  it('bound messages, what is in flight, and the session', () => {
    const flags = {
      limit: '7',
      count: '2',
      inflight: '0',
      clean: 'false',
      sessionExpiry: '60',
      retain: 'true',
    }
    const plan = compatibilityPlan('pub', { ...flags, waitBeforePublishing: true, interval_of_msg: '100' })
    const [group] = plan.groups
    assert.deepEqual([group?.publish[0]?.messagesMax, group?.publish[0]?.retain], [7, true])
    assert.deepEqual(
      [group?.session.clean, group?.session.expirySeconds, group?.session.inFlightMax],
      [false, 60, 65_535],
    )
    const [ramp, steady] = plan.stages
    assert.ok(ramp?.kind === 'ramp' && ramp.quiet)
    assert.equal(steady?.forMs, 61_000)
  })

  it('carry a given message byte by byte, and the headers of emqtt-bench', () => {
    const [group] = compatibilityPlan('pub', { message: 'hello', payloadHdrs: 'cnt64,ts' }).groups
    assert.deepEqual(group?.publish[0]?.payload, { constant: 'hello' })
    assert.equal(group?.publish[0]?.numbered, false)
    assert.deepEqual(group?.headers, ['cnt64', 'ts'])
    assert.throws(() => compatibilityPlan('pub', { payloadHdrs: 'ts,crc' }), /got crc/)
    const bytes = withBenchHeaders(['cnt64', 'ts'], 3, 'x')
    assert.equal(bytes.length, 17)
    const read = readBenchHeaders(['cnt64', 'ts'], bytes)
    assert.equal(read?.count, 3)
    assert.ok(Math.abs(Date.now() - (read?.sentAt ?? 0)) < 60_000)
    assert.equal(readBenchHeaders(['ts'], Buffer.alloc(7)), null)
  })
})

describe('a payload of so many bytes', () => {
  it('has that length with its number', () => {
    const header = { run: 'r', stream: 1, sequence: 1, dueAt: 1, promise: null }
    const number = withHeader(header, '').length
    for (const bytes of [number, number + 1, 256]) {
      assert.equal(withHeader(header, 'x'.repeat(bytes), bytes).length, bytes)
    }
    assert.equal(withHeader(header, 'xxx', number - 5).length, number)
  })
})
