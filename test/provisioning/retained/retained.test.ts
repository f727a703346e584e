// Retained messages over the API: found by topic filter and device, cleared with a receipt for operators of all and of one group, and gone
// then for every subscriber, also of a broker that did not run.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openInbox } from '../../harness/inbox.ts'
import { until } from '../../harness/until.ts'
import { beside, connect } from '../broker-beside.ts'
import { type Service, startService } from '../harness.ts'

const retain = { qos: 1, retain: true } as const
type Listed = { topic: string; deviceId: string; bytes: number; qos: number; retainedAt: string }

const listed = async (service: Service, query = '', token?: string): Promise<Listed[]> =>
  (await service.call('GET', `/v1/retained${query}`, undefined, token ? { token } : {})).body.items
const topics = async (service: Service, query = '', token?: string) =>
  (await listed(service, query, token)).map(({ topic }) => topic)
const clear = async (service: Service, given: string[], token?: string) =>
  service.call('POST', '/v1/retained/clear', { topics: given }, token ? { token } : {})
const operatorOf = async (service: Service, group: string) =>
  (await service.call('POST', '/v1/api-tokens', { name: group, role: 'operator', group })).body.token

test('is not told to be none where no broker lists it', async () => {
  await using service = await startService()
  const pumps = await operatorOf(service, 'pumps')
  for (const token of [undefined, pumps]) {
    const { status, body } = await service.call('GET', '/v1/retained', undefined, token ? { token } : {})
    assert.deepEqual([status, body.reason], [503, 'retained_unlisted'])
    assert.match(body.hint, /Start a broker there, or ask a service that has one beside it/)
  }
  assert.equal((await clear(service, ['a'], pumps)).body.reason, 'retained_unlisted')
  assert.equal((await clear(service, ['a'])).status, 200, 'brokers elsewhere hear of it')
})

test('hides no topic behind the last character that there is', async () => {
  await using service = await startService()
  const broker = await beside(service)
  try {
    const { client } = await connect(service, broker.port, 'pump-1')
    const last = '\u{10ffff}'
    const hidden = [`devices/pump-1/${last}${last}`, `devices/pump-1/${last}/a`]
    for (const topic of [...hidden, 'devices/pump-1/a']) await client.publishAsync(topic, 'x', retain)
    await until(async () => (await topics(service)).length === 3)
    const found = (filter: string) => topics(service, `?filter=${encodeURIComponent(filter)}`)
    for (const filter of ['devices/pump-1/#', 'devices/#', '+/pump-1/#', '#'])
      assert.equal((await found(filter)).length, 3, filter)
    assert.deepEqual(await found(`devices/pump-1/${last}/+`), [hidden[1]])
    await client.endAsync()
  } finally {
    await broker.close()
  }
})

test('finds retained messages by filter and device, and clears them for good', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  let broker = await beside(service)
  try {
    const one = await connect(service, broker.port, 'pump-1')
    const two = await connect(service, broker.port, 'pump-2')
    await one.client.publishAsync('devices/pump-1/state', 'on', retain)
    await one.client.publishAsync('devices/pump-1/state/deep', 'deeper', retain)
    await two.client.publishAsync('devices/pump-2/state', 'off', { qos: 0, retain: true })
    await until(async () => (await topics(service)).length === 3)
    const [first] = await listed(service)
    assert.ok(Math.abs(Date.parse(first!.retainedAt) - Date.now()) < 60_000)
    assert.deepEqual(
      { ...first, retainedAt: null },
      {
        ...{ topic: 'devices/pump-1/state', deviceId: 'pump-1', qos: 1, bytes: 2 },
        ...{ retainedAt: null, expiresAt: null },
      },
    )
    const found = (filter: string) => topics(service, `?filter=${encodeURIComponent(filter)}`)
    assert.deepEqual(await found('devices/+/state'), ['devices/pump-1/state', 'devices/pump-2/state'])
    assert.deepEqual(await found('devices/pump-1/state/#'), [
      'devices/pump-1/state',
      'devices/pump-1/state/deep',
    ])
    assert.deepEqual(await found('devices/pump-2/state'), ['devices/pump-2/state'])
    assert.deepEqual(await found('other/#'), [])
    assert.deepEqual(await topics(service, '?device=pump-2'), ['devices/pump-2/state'])
    const page = (await service.call('GET', '/v1/retained?limit=2&total=true')).body
    assert.deepEqual([page.items.length, page.total], [2, { count: 3, exact: true }])
    assert.deepEqual(await topics(service, `?cursor=${page.nextCursor}`), ['devices/pump-2/state'])
    assert.equal((await service.call('GET', '/v1/retained?filter=a%23')).body.reason, 'filter_invalid')

    const watching = openInbox(two.client)
    await two.client.subscribeAsync('devices/pump-2/state')
    await watching.message('off')
    const { body, status } = await clear(service, ['devices/pump-2/state'])
    assert.deepEqual(
      [status, body.nodesAcknowledged, body.unreachable, body.topics],
      [200, 1, [], ['devices/pump-2/state']],
    )
    await until(async () => (await topics(service)).length === 2)
    await two.client.publishAsync('devices/pump-2/state', 'last', { qos: 1 })
    await watching.message('last')
    // No empty message came for what was cleared.
    assert.deepEqual(
      watching.all.map(({ payload }) => payload),
      ['off', 'last'],
    )
    assert.equal((await clear(service, ['devices/pump-2/state'])).body.reason, 'retained_unknown')

    await one.client.endAsync()
    await broker.close()
    // While no broker runs: it is cleared at the next start, and the one published then stays.
    await clear(service, ['devices/pump-1/state'])
    broker = await beside(service)
    const back = await connect(service, broker.port, 'pump-3')
    await back.client.publishAsync('devices/pump-3/state', 'new', retain)
    await until(async () => (await topics(service)).length === 2)
    assert.deepEqual(await topics(service), ['devices/pump-1/state/deep', 'devices/pump-3/state'])
    await broker.close()
    broker = await beside(service)
    await until(async () => (await topics(service)).length === 2)

    const { items } = (await service.call('GET', '/v1/audit?action=retained.clear')).body
    assert.deepEqual(
      items.map((row: { target: string; detail: object }) => [row.target, row.detail]),
      [
        ['devices/pump-1/state', { deviceId: 'pump-1' }],
        ['devices/pump-2/state', { deviceId: 'pump-2' }],
      ],
    )
  } finally {
    await broker.close()
  }
})

test('an operator bound to a group sees and clears what its devices published, a viewer clears nothing', async () => {
  await using service = await startService({ receiptTimeoutMs: 5_000 })
  const broker = await beside(service)
  try {
    const pump = await connect(service, broker.port, 'pump-1')
    const fan = await connect(service, broker.port, 'fan-1')
    await service.call('PATCH', '/v1/devices/pump-1', { groups: ['pumps'] }, { headers: { 'if-match': '*' } })
    await pump.client.publishAsync('devices/pump-1/state', 'on', retain)
    await fan.client.publishAsync('devices/fan-1/state', 'on', retain)
    const pumps = await operatorOf(service, 'pumps')
    await until(async () => (await topics(service)).length === 2)

    assert.deepEqual(await topics(service, '', pumps), ['devices/pump-1/state'])
    const device = await service.call('GET', '/v1/retained?device=fan-1', undefined, { token: pumps })
    assert.equal(device.body.reason, 'device_unknown')
    const both = ['devices/pump-1/state', 'devices/fan-1/state']
    assert.equal((await clear(service, both, pumps)).body.reason, 'retained_unknown')
    assert.equal((await topics(service)).length, 2)
    const viewer = (await service.call('POST', '/v1/api-tokens', { name: 'v', role: 'viewer' })).body.token
    assert.equal((await clear(service, both, viewer)).body.reason, 'role_insufficient')
    for (const wrong of [[], ['a/+'], ['a', 'a'], ['#']])
      assert.equal((await clear(service, wrong)).body.reason, 'request_invalid')

    assert.equal((await clear(service, ['devices/pump-1/state'], pumps)).status, 200)
    await until(async () => (await topics(service)).length === 1)
    const headers = { 'idempotency-key': 'once', 'content-type': 'application/json' }
    const again = async () =>
      (await service.call('POST', '/v1/retained/clear', { topics: ['devices/fan-1/state'] }, { headers }))
        .body
    assert.deepEqual(await again(), await again())
  } finally {
    await broker.close()
  }
})
