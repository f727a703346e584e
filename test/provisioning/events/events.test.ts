// Events over real sockets: what happens is told in order, to each as far as he may see, resumed where it broke off, cut where
// nobody reads, and ended with the session.
import assert from 'node:assert/strict'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { test } from 'node:test'
import { beside, connect } from '../broker-beside.ts'
import { ask } from '../device-requests.ts'
import { assertProblem, makeCsr, type Service, startService } from '../harness.ts'

type Told = {
  id: number
  event: string
  data: { deviceId: string | null; kind: string; reason: string | null }
}

/** One stream of events, read as it comes. */
async function listen(service: Service, path = '', headers: Record<string, string> = {}) {
  const authorization = `Bearer ${service.token}`
  const given = 'cookie' in headers ? headers : { authorization, ...headers }
  const told: Told[] = []
  let wake: (() => void) | null = null
  let ended = false
  const outgoing: ClientRequest = request(`${service.url}/v1/events/stream${path}`, {
    ca: service.ca,
    headers: given,
  })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve).on('error', reject).end()
  })
  outgoing.on('error', () => {})
  let rest = ''
  response.setEncoding('utf8').on('error', () => {})
  response.on('data', (text: string) => {
    const pieces = (rest + text).split('\n\n')
    rest = pieces.pop() ?? ''
    for (const piece of pieces) {
      const found = /^id: (\d+)\nevent: (\w+)\ndata: (.*)$/.exec(piece)
      if (found !== null) told.push({ id: Number(found[1]), event: found[2]!, data: JSON.parse(found[3]!) })
    }
    wake?.()
  })
  response.on('close', () => {
    ended = true
    wake?.()
  })
  const until = async (holds: () => boolean) => {
    const deadline = setTimeout(() => wake?.(), 30_000)
    const end = performance.now() + 30_000
    while (!holds()) {
      assert.ok(performance.now() < end, `never: ${holds}; told ${JSON.stringify(told)}`)
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    clearTimeout(deadline)
  }
  return {
    response,
    told,
    until,
    ended: () => ended,
    stop: () => outgoing.destroy(),
    kinds: () => told.map(({ event, data }) => `${event} ${data.deviceId}`),
  }
}

test('tells what happens to devices, as it happens, and lists it afterwards', async () => {
  await using service = await startService({ receiptTimeoutMs: 2_000 })
  const broker = await beside(service)
  const feed = await listen(service)
  try {
    assert.match(feed.response.headers['content-type'] ?? '', /^text\/event-stream/)
    const { client, fingerprint } = await connect(service, broker.port, 'pump-1')
    await feed.until(() => feed.told.some(({ event }) => event === 'connected'))
    await service.call('POST', '/v1/devices/pump-1/suspend')
    await feed.until(() => feed.told.some(({ event }) => event === 'disconnected'))
    await service.call('POST', '/v1/devices/pump-1/activate')
    await service.call('POST', `/v1/certificates/${fingerprint}/revoke`, { reason: 'keyCompromise' })
    await feed.until(() => feed.told.some(({ event }) => event === 'revoked'))
    await client.endAsync(true)
    // Brokers and provisioning write by themselves: what each tells is in its order.
    const of = (...kinds: string[]) =>
      feed.told.filter(({ event }) => kinds.includes(event)).map(({ event }) => event)
    assert.deepEqual(of('enrolled', 'suspended', 'activated', 'revoked'), [
      'enrolled',
      'suspended',
      'activated',
      'revoked',
    ])
    assert.deepEqual(of('connected', 'disconnected'), ['connected', 'disconnected'])
    const by = (kind: string) => feed.told.find(({ event }) => event === kind)!.data
    assert.equal(by('disconnected').reason, 'device_suspended')
    assert.equal(by('revoked').reason, 'keyCompromise')
    assert.ok(feed.told.every(({ id }, index) => index === 0 || id > feed.told[index - 1]!.id))

    const { body } = await service.call('GET', '/v1/events?device=pump-1&limit=3')
    assert.deepEqual(
      body.items.map((item: { seq: number }) => item.seq),
      feed.told
        .map(({ id }) => id)
        .slice(-3)
        .reverse(),
    )
    const rest = await service.call('GET', `/v1/events?device=pump-1&cursor=${body.nextCursor}`)
    assert.equal(rest.body.items.length, feed.told.length - 3)
    const refused = await service.call('GET', '/v1/events?kind=connected&since=2999-01-01T00:00:00Z')
    assert.deepEqual(refused.body.items, [])
    // The minute may have turned in between.
    const minutes: { connected: number }[] = (await service.call('GET', '/v1/overview')).body.perMinute
    assert.equal(
      minutes.reduce((sum, { connected }) => sum + connected, 0),
      1,
    )
  } finally {
    feed.stop()
    await broker.close()
  }
})

test('a refusal is told with its reason, once, however often it is repeated', async () => {
  await using service = await startService()
  const broker = await beside(service)
  const feed = await listen(service, '?kind=refused')
  try {
    const { client, again } = await connect(service, broker.port, 'pump-1')
    await client.endAsync(true)
    await service.call('POST', '/v1/devices/pump-1/suspend')
    for (let attempt = 0; attempt < 5; attempt += 1) await assert.rejects(again())
    await feed.until(() => feed.told.length > 0)
    assert.deepEqual(feed.kinds(), ['refused pump-1'])
    assert.equal(feed.told[0]!.data.reason, 'device_suspended')
    await feed.until(() => true)
    const minutes = async () => (await service.call('GET', '/v1/overview')).body.perMinute
    const end = performance.now() + 30_000
    for (;;) {
      const times = (await minutes()).reduce(
        (sum: number, one: { refused: Record<string, number> }) =>
          sum + (one.refused['device_suspended'] ?? 0),
        0,
      )
      if (times === 5) break
      assert.ok(performance.now() < end, `${times} of 5 are counted`)
    }
  } finally {
    feed.stop()
    await broker.close()
  }
})

test('goes on behind Last-Event-ID, and filters by device and kind', async () => {
  await using service = await startService()
  const first = await listen(service)
  for (const id of ['a', 'b', 'c']) await service.enroll(id)
  await first.until(() => first.told.length === 3)
  first.stop()
  await service.enroll('d')
  const second = await listen(service, '', { 'last-event-id': String(first.told[0]!.id) })
  await second.until(() => second.told.length === 3)
  assert.deepEqual(second.kinds(), ['enrolled b', 'enrolled c', 'enrolled d'])
  const narrow = await listen(service, '?device=c&kind=suspended', { 'last-event-id': '1' })
  await service.call('POST', '/v1/devices/d/suspend')
  await service.call('POST', '/v1/devices/c/suspend')
  await narrow.until(() => narrow.told.length === 1)
  assert.deepEqual(narrow.kinds(), ['suspended c'])
  for (const stream of [second, narrow]) stream.stop()
})

test('somebody bound to a group hears and reads of that group alone', async () => {
  await using service = await startService()
  const { token } = (
    await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer', group: 'pumps' })
  ).body
  await service.call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'] })
  const eve = await listen(service, '', { authorization: `Bearer ${token}`, 'last-event-id': '1' })
  const all = await listen(service, '', { 'last-event-id': '1' })
  await service.enroll('valve-1')
  await service.enroll('pump-1')
  await all.until(() => all.told.length === 2)
  await eve.until(() => eve.told.length === 1)
  assert.deepEqual(eve.kinds(), ['enrolled pump-1'])
  const read = async (query: string) =>
    (await service.call('GET', `/v1/events${query}`, undefined, { token })).body.items.map(
      (item: { deviceId: string }) => item.deviceId,
    )
  assert.deepEqual(await read(''), ['pump-1'])
  assert.deepEqual(await read('?device=valve-1'), [])
  assert.deepEqual(await read('?kind=enrolled'), ['pump-1'])
  eve.stop()
  all.stop()
})

test('a stream ends with the session it was opened in, and with its token', async () => {
  await using service = await startService()
  const made = (await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer' })).body
  const signedIn = await ask(service, null, 'POST', '/v1/session', { token: made.token })
  const cookie = String(signedIn.headers['set-cookie']).split(';')[0]!
  const bySession = await listen(service, '', { cookie })
  const byToken = await listen(service, '', { authorization: `Bearer ${made.token}` })
  const other = await listen(service)
  const csrf = { cookie, 'x-csrf-token': signedIn.body.csrfToken }
  assert.equal((await ask(service, null, 'DELETE', '/v1/session', undefined, csrf)).status, 204)
  await bySession.until(bySession.ended)
  assert.equal(byToken.ended(), false)
  await service.call('POST', `/v1/api-tokens/${made.id}/revoke`)
  await byToken.until(byToken.ended)
  assert.equal(other.ended(), false)
  other.stop()
})

test('a HEAD request of the stream gets the head alone', async () => {
  await using service = await startService()
  for (let times = 0; times < 12; times += 1)
    assert.equal((await service.call('HEAD', '/v1/events/stream')).status, 200)
  const feed = await listen(service)
  assert.equal(feed.response.statusCode, 200)
  feed.stop()
})

test('streams are bounded for each caller, and their room is free again', async () => {
  await using service = await startService()
  const streams = []
  for (let index = 0; index < 10; index += 1) streams.push(await listen(service))
  assertProblem(await service.call('GET', '/v1/events/stream'), 429, 'streams_exceeded')
  const { token } = (await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer' })).body
  streams.push(await listen(service, '', { authorization: `Bearer ${token}` }))
  streams[0]!.stop()
  const end = performance.now() + 30_000
  for (;;) {
    const next = await listen(service)
    streams.push(next)
    if (next.response.statusCode === 200) break
    assert.ok(performance.now() < end)
  }
  for (const stream of streams) stream.stop()
})

test('closing the service waits for no stream', async () => {
  const service = await startService()
  const feed = await listen(service)
  const begin = performance.now()
  await service[Symbol.asyncDispose]()
  await feed.until(feed.ended)
  // Answers on their way are given five seconds, and a stream never ends.
  assert.ok(performance.now() - begin < 4_500)
})

test('what happened while nothing could be told is told later: it is on record', async () => {
  const service = await startService({ keep: true })
  await service.enroll('a', makeCsr('p256').csr)
  await service.running.close()
  const again = await startService({ data: service.directory })
  const feed = await listen(again, '', { 'last-event-id': '1' })
  await feed.until(() => feed.told.length === 1)
  assert.deepEqual(feed.kinds(), ['enrolled a'])
  feed.stop()
  await again[Symbol.asyncDispose]()
  await service[Symbol.asyncDispose]()
})

test('a stream whose caller reads ends whole when the service stops, with the events of the last moment', async () => {
  const service = await startService()
  const streams = []
  for (let index = 0; index < 10; index += 1) streams.push(await listen(service))
  await service.call('POST', '/v1/devices', { id: 'last' })
  await service[Symbol.asyncDispose]()
  for (const stream of streams) {
    await stream.until(stream.ended)
    assert.equal(stream.response.complete, true)
  }
})
