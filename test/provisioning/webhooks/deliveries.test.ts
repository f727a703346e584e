// What was sent to a webhook is listed, and sent again on demand: one event, or all since a time.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../harness/until.ts'
import { assertProblem, type Service, startService } from '../harness.ts'
import { startReceiver } from './receiver.ts'

const quick = {
  webhookPrivateAddresses: true,
  webhookTiming: { firstMs: 20, mostMs: 100, givesUpMs: 60_000, lookMs: 20 },
}

async function add(service: Service, url: string): Promise<string> {
  const made = await service.call('POST', '/v1/webhooks', { url, kinds: ['enrolled'] })
  assert.equal(made.status, 201, made.text)
  return made.body.id
}

test('lists the last attempt of each event, with what it was answered and when it is tried again', async () => {
  let broken = true
  await using receiver = await startReceiver((_, response) => {
    response.statusCode = broken ? 503 : 204
    response.end()
  })
  await using service = await startService({
    ...quick,
    webhookTiming: { ...quick.webhookTiming, mostMs: 600_000 },
  })
  const id = await add(service, receiver.url)
  const deliveries = async () => (await service.call('GET', `/v1/webhooks/${id}/deliveries`)).body.items
  assert.deepEqual(await deliveries(), [])
  await service.enroll('pump-1')
  await until(async () => (await deliveries())[0]?.attempts >= 2)
  const [failed] = await deliveries()
  assert.deepEqual(
    [failed.type, failed.deviceId, failed.delivered, failed.status, failed.why],
    ['enrolled', 'pump-1', false, 503, 'it answered 503'],
  )
  assert.ok(Date.parse(failed.nextAttemptAt) > Date.parse(failed.attemptedAt))
  broken = false
  await until(async () => (await deliveries())[0].delivered)
  const [done] = await deliveries()
  assert.deepEqual([done.event, done.status, done.nextAttemptAt], [failed.event, 204, null])
  assert.equal((await deliveries()).length, 1)
})

test('sends one event again, also of another kind, and none that the log does not hold', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  await using service = await startService(quick)
  const id = await add(service, receiver.url)
  await service.enroll('pump-1')
  await service.call('POST', '/v1/devices/pump-1/suspend')
  await until(() => receiver.taken.length === 1)
  const events = async () => (await service.call('GET', '/v1/events?device=pump-1')).body.items
  await until(async () => (await events()).length === 2)
  for (const { seq, kind } of await events()) {
    const sent = await service.call('POST', `/v1/webhooks/${id}/deliveries`, { event: seq })
    assert.deepEqual([sent.status, sent.body.delivered, sent.body.type], [200, true, kind])
    assert.deepEqual([receiver.taken.at(-1)!.id, receiver.taken.at(-1)!.type], [`event_${seq}`, kind])
  }
  const again = (event: unknown) => service.call('POST', `/v1/webhooks/${id}/deliveries`, { event })
  assertProblem(await again(1), 404, 'event_unknown')
  assertProblem(await again((await events())[0].seq + 1_000), 404, 'event_unknown')
  assertProblem(await again('1'), 400, 'request_invalid')
  await service.call('PATCH', `/v1/webhooks/${id}`, { enabled: false })
  assertProblem(await again((await events())[0].seq), 409, 'webhook_disabled')
})

test('replays the events since a time, in order, also those of a webhook that was disabled', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  let now = Date.now()
  await using service = await startService({ ...quick, now: () => now })
  await service.enroll('before')
  now += 3_600_000
  await service.enroll('pump-1')
  await until(async () => (await service.call('GET', '/v1/events?device=pump-1')).body.items.length === 1)
  const id = await add(service, receiver.url)
  await service.enroll('pump-2')
  const told = () => receiver.taken.map(({ data }) => data.deviceId)
  await until(() => told().length === 1)
  const replay = (since: number) =>
    service.call('POST', `/v1/webhooks/${id}/replay`, { since: new Date(since).toISOString() })
  assert.equal((await replay(now - 60_000)).status, 200)
  await until(() => told().length === 3)
  assert.deepEqual(told(), ['pump-2', 'pump-1', 'pump-2'])
  await service.call('PATCH', `/v1/webhooks/${id}`, { enabled: false })
  assert.equal((await replay(0)).body.state, 'disabled')
  await service.call('PATCH', `/v1/webhooks/${id}`, { enabled: true })
  await until(() => told().length === 6)
  assert.deepEqual(told().slice(3).toSorted(), ['before', 'pump-1', 'pump-2'])
  assertProblem(
    await service.call('POST', `/v1/webhooks/${id}/replay`, { since: 'now' }),
    400,
    'request_invalid',
  )
})

test('puts on record what an operator sends again, before it is sent', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  await using service = await startService(quick)
  const id = await add(service, receiver.url)
  await service.enroll('pump-1')
  await until(() => receiver.taken.length === 1)
  const [{ seq }] = (await service.call('GET', '/v1/events?device=pump-1')).body.items
  const since = '2026-01-01T00:00:00.000Z'
  await service.call('POST', `/v1/webhooks/${id}/deliveries`, { event: seq })
  await service.call('POST', `/v1/webhooks/${id}/deliveries`, { event: seq + 1_000 })
  await service.call('POST', `/v1/webhooks/${id}/replay`, { since })
  const { items } = (await service.call('GET', `/v1/audit?action=webhook.*&target=${id}`)).body
  assert.deepEqual(
    items.slice(0, 2).map(({ action, detail }: { action: string; detail: object }) => [action, detail]),
    [
      ['webhook.replay', { since: Date.parse(since) }],
      ['webhook.resend', { event: seq }],
    ],
  )
  assert.equal(items.length, 3)
})

test('sends nothing more where a revoked operator said, until another one answers for it', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  await using service = await startService(quick)
  const eve = (await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'admin' })).body
  const order = { url: receiver.url, kinds: ['enrolled'] }
  const own = (await service.call('POST', '/v1/webhooks', order, { token: eve.token })).body.id
  const changed = (await service.call('POST', '/v1/webhooks', order)).body.id
  const enabled = (await service.call('POST', '/v1/webhooks', order, { token: eve.token })).body.id
  const patch = (id: string, change: object, token?: string) =>
    service.call('PATCH', `/v1/webhooks/${id}`, change, token === undefined ? {} : { token })
  await patch(changed, { url: `${receiver.url}/eve` }, eve.token)
  await patch(enabled, { enabled: true })
  await service.call('POST', `/v1/api-tokens/${eve.id}/revoke`)
  const states = async () => {
    const { items } = (await service.call('GET', '/v1/webhooks')).body
    return Object.fromEntries(
      items.map((one: { id: string; disabledReason: string | null; createdBy: string }) => [
        one.id,
        [one.createdBy, one.disabledReason],
      ]),
    )
  }
  const mine = (await service.call('GET', '/v1/whoami')).body.name
  assert.deepEqual(await states(), {
    [own]: ['eve', 'operator_revoked'],
    [changed]: ['eve', 'operator_revoked'],
    [enabled]: [mine, null],
  })
  const { detail } = (await service.call('GET', '/v1/audit?action=token.revoke')).body.items[0]
  assert.deepEqual(detail, { name: 'eve', webhooks: 2 })
  await service.enroll('pump-1')
  await until(() => receiver.taken.length === 1)
  // By the next event each queue has had its turn.
  await service.enroll('pump-2')
  await until(() => receiver.taken.some(({ data }) => data.deviceId === 'pump-2'))
  assert.equal(receiver.taken.length, 2)
  await patch(own, { enabled: true })
  await until(() => receiver.taken.length === 4)
  assert.deepEqual((await states())[own], [mine, null])
  assert.deepEqual((await service.call('GET', `/v1/webhooks/${changed}/deliveries`)).body.items, [])
})
