// `sim conn|pub|sub`: flags as emqtt-bench has them become a plan like any other.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BadUsage } from '../../../device-sim/failure.ts'
import { deviceIdIn } from '../../../device-sim/fleet/group.ts'
import { compatibilityPlan } from '../../../device-sim/scenario/compatibility-flags.ts'
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
    assert.equal(publish?.topic, `bench/\${n}/\${device}`)
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
    assert.equal(compatibilityPlan('conn', {}).groups[0]?.protocol, 4)
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
})
