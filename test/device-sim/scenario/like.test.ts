// `--like`: what a service refuses is said before a run, and what its clients send is sent.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BadUsage } from '../../../device-sim/failure.ts'
import { flagsLike } from '../../../device-sim/scenario/like.ts'
import { loadScenario } from '../../../device-sim/scenario/load.ts'
import { quickPlan } from '../../../device-sim/scenario/quick.ts'

const problems = (name: string, plan = quickPlan({})): readonly string[] => {
  try {
    flagsLike(name, plan, {})
    return []
  } catch (error) {
    assert.ok(error instanceof BadUsage)
    return error.problems
  }
}

describe('a run like at a service', () => {
  it('is refused what the service refuses', () => {
    assert.deepEqual(problems('aws-iot'), [])
    assert.match(
      problems('aws-iot', quickPlan({ qos: '2' }))[0] ?? '',
      /QoS is 2, and the service takes 1 at most/,
    )
    assert.match(problems('azure-event-grid', quickPlan({ qos: '2' }))[0] ?? '', /QoS is 2/)
    assert.deepEqual(problems('emqx', quickPlan({ qos: '2' })), [])
    assert.deepEqual(problems('aws-iot', quickPlan({ interval: '10ms' })), [])
    assert.match(
      problems('aws-iot', quickPlan({ interval: '9ms' }))[0] ?? '',
      /messages of a device per second/,
    )
    const { plan } = loadScenario('steady')
    const [group] = plan.groups
    assert.ok(group)
    const deep = (slashes: number) => ({
      ...plan,
      groups: [
        {
          ...group,
          subscribe: [],
          publish: group.publish.map(one => ({ ...one, topic: 'a/'.repeat(slashes) })),
        },
      ],
    })
    assert.deepEqual(problems('aws-iot', deep(7)), [])
    assert.match(problems('aws-iot', deep(8))[0] ?? '', /slashes/)
    const quiet = (keepAliveSeconds: number) => ({
      ...plan,
      groups: [{ ...group, session: { ...group.session, keepAliveSeconds } }],
    })
    assert.deepEqual(problems('azure-event-grid', quiet(1_160)), [])
    assert.match(problems('azure-event-grid', quiet(1_161))[0] ?? '', /keep-alive/)
    assert.deepEqual(problems('aws-iot', quiet(1_200)), [])
    assert.match(problems('aws-iot', quiet(1_201))[0] ?? '', /keep-alive in seconds is 1201/)
    const [filter] = group.subscribe
    assert.ok(filter)
    const listening = (count: number) => ({
      ...plan,
      groups: [{ ...group, subscribe: Array.from({ length: count }, () => filter) }],
    })
    assert.deepEqual(problems('aws-iot', listening(50)), [])
    assert.match(problems('aws-iot', listening(51))[0] ?? '', /number of subscriptions is 51/)
    const unacknowledged = (inFlightMax: number) => ({
      ...plan,
      groups: [{ ...group, session: { ...group.session, inFlightMax } }],
    })
    assert.deepEqual(problems('aws-iot', unacknowledged(100)), [])
    assert.match(problems('aws-iot', unacknowledged(101))[0] ?? '', /messages in flight is 101/)
    assert.match(problems('gcp')[0] ?? '', /--like: expected aws-iot, azure-event-grid, emqx/)
  })

  it('sends what its clients send, unless it is told otherwise', () => {
    const plan = quickPlan({})
    assert.equal(flagsLike('aws-iot', plan, { broker: 'mqtts://h:443' }).alpn, 'x-amzn-mqtt-ca')
    assert.equal(flagsLike('aws-iot', plan, { broker: 'mqtts://h:443', alpn: 'mqtt' }).alpn, 'mqtt')
    assert.equal(flagsLike('aws-iot', plan, { broker: 'mqtts://h:8883' }).alpn, 'x-amzn-mqtt-ca')
    assert.equal(flagsLike('aws-iot', plan, { broker: 'mqtt://h' }).alpn, undefined)
    assert.equal(flagsLike('aws-iot', plan, {}).username, '?SDK=rollcall-sim')
    assert.equal(flagsLike('azure-event-grid', plan, {}).username, '%c')
    assert.equal(flagsLike('azure-event-grid', plan, { username: 'x' }).username, 'x')
  })
})
