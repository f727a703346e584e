// What a policy denies to a device is on record: topic, action and the statement, the last twenty, each once with how often.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createEventReader } from '../../../db/events/event-reader.ts'
import { type Denial, prepareDenials } from '../../../db/roll/denials.ts'
import { startTestBroker, type TestBroker } from '../../harness/broker.ts'
import { speak5 } from '../../harness/mqtt5-client.ts'
import { publish5, subscribe5 } from '../../harness/packets5.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

let roll: Roll
let t: TestBroker
let at = Date.now()
before(async () => {
  roll = await createRoll()
  await roll.writer.putPolicy(
    'no-secrets',
    {
      name: 'no-secrets',
      statements: [
        { effect: 'deny', actions: ['publish', 'subscribe'], topics: [`devices/\${device.id}/secrets/#`] },
      ],
    },
    tester,
  )
  await roll.writer.attachPolicy('no-secrets', 'everyone', '', tester)
  t = await startTestBroker({ roll, now: () => at, intervals: { expiryCheckMs: 1_000, registryWriteMs: 4 } })
})
after(async () => {
  await t.close()
  await roll.close()
})

const denied = (id: string) => prepareDenials(roll.registry.sqlite)(id)
const of = ({ action, topic, verdict, decidedBy, count }: Denial) => [
  action,
  topic,
  verdict,
  decidedBy,
  count,
]
/** The registry is written at the next second of the clock. */
async function once(id: string, holds: (are: Denial[]) => boolean): Promise<Denial[]> {
  await until(() => {
    at += 1_000
    return holds(denied(id))
  })
  return denied(id)
}

test('a publish, a subscription and a will that are denied are on record with the statement', async () => {
  const device = await roll.enroll('d1')
  const client = await speak5(t, device, { clientId: 'd1' })
  client.say(publish5('devices/d1/secrets/key', 1, { retain: true }))
  await client.next('puback')
  client.say(publish5('elsewhere', 2), publish5('elsewhere', 3), subscribe5(4, 'devices/+/x'))
  await client.next('suback')
  const statement = { policy: 'no-secrets', statement: 0, topic: `devices/\${device.id}/secrets/#` }
  const secret = ['publish', 'devices/d1/secrets/key', 'denied', statement, 1]
  assert.deepEqual((await once('d1', are => are.length === 3)).map(of), [
    ['subscribe', 'devices/+/x', 'nothing_allows', null, 1],
    ['publish', 'elsewhere', 'nothing_allows', null, 2],
    secret,
  ])
  const [, , first] = denied('d1')
  assert.deepEqual([first!.qos, first!.retain, first!.address], [1, true, '127.0.0.1'])
  assert.equal(first!.fingerprint, device.fingerprint)
  await client.leave()

  const will = { topic: 'elsewhere/will', payload: 'x', qos: 0, retain: false } as const
  const refused = await speak5(t, device, { clientId: 'd1', will })
  assert.equal(refused.connack?.reasonCode, 0x87)
  const [newest] = await once('d1', are => are.length === 4)
  assert.deepEqual(of(newest!), ['will', 'elsewhere/will', 'nothing_allows', null, 1])

  const reader = createEventReader(`${roll.data}/events.db`, () => {})
  const events = () => reader.after(0, 100).filter(({ kind }) => kind.endsWith('_denied'))
  await until(() => events().length === 4)
  assert.deepEqual(
    events().map(({ kind, detail }) => [kind, detail?.['topic']]),
    [
      ['publish_denied', 'devices/d1/secrets/key'],
      ['publish_denied', 'elsewhere'],
      ['subscribe_denied', 'devices/+/x'],
      ['will_denied', 'elsewhere/will'],
    ],
  )
  assert.deepEqual(events()[0]?.detail?.['decidedBy'], statement)
  reader.close()
})

test('of a device that tries many topics the last twenty are kept, and counted again after a minute', async () => {
  const device = await roll.enroll('d2')
  const client = await speak5(t, device, { clientId: 'd2' })
  const publishes = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => publish5(`other/${from + index}`, from + index + 1))
  client.say(...publishes(0, 30))
  await client.next('puback', 30)
  assert.equal((await once('d2', are => are.length === 20))[0]!.topic, 'other/19')
  at += 61_000
  // Room is made with a write to the registry, so it asks until there is some.
  for (let last = ''; last !== 'other/34'; last = denied('d2')[0]!.topic) {
    const acknowledged = client.of('puback').length
    at += 1_000
    client.say(...publishes(30, 35))
    await client.next('puback', acknowledged + 5)
  }
  assert.deepEqual([denied('d2').length, denied('d2').at(-1)!.topic], [20, 'other/5'])
  await client.leave()
})
