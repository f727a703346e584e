// Webhooks against a real receiver: signed, in order, at least once over failures and kills, and never to where nobody allowed.
import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createSender } from '../../../provisioning/webhooks/sender.ts'
import { until } from '../../harness/until.ts'
import { assertProblem, type Service, startService } from '../harness.ts'
import { startReceiver } from './receiver.ts'

const quick = {
  webhookPrivateAddresses: true,
  webhookTiming: { firstMs: 20, mostMs: 100, givesUpMs: 60_000, lookMs: 20 },
}

async function add(service: Service, receiver: { url: string; keys: { secret: string } }, kinds?: string[]) {
  const made = await service.call('POST', '/v1/webhooks', { url: receiver.url, ...(kinds ? { kinds } : {}) })
  assert.equal(made.status, 201, made.text)
  receiver.keys.secret = made.body.secret
  return made.body.id as string
}

test('sends what happens from then on, signed, of the kinds that were asked for', async () => {
  await using receiver = await startReceiver((_, response) => response.end('thanks'))
  await using service = await startService(quick)
  await service.enroll('before')
  await until(async () => (await service.call('GET', '/v1/events')).body.items.length === 1)
  const id = await add(service, receiver, ['enrolled', 'suspended'])
  await service.enroll('pump-1')
  await service.call('POST', '/v1/devices/pump-1/suspend')
  await service.call('POST', '/v1/devices/pump-1/activate')
  await service.enroll('pump-2')
  await until(() => receiver.taken.length === 3)
  assert.deepEqual(receiver.taken.map(({ type, data }) => `${type} ${data.deviceId}`).sort(), [
    'enrolled pump-1',
    'enrolled pump-2',
    'suspended pump-1',
  ])
  assert.ok(receiver.taken.every(({ signed }) => signed))
  const [first] = receiver.taken
  assert.match(first!.id, /^event_\d+$/)
  assert.ok(Math.abs(Number(first!.headers['webhook-timestamp']) * 1000 - Date.now()) < 60_000)
  const shown = async () => (await service.call('GET', `/v1/webhooks/${id}`)).body
  // The receiver knows before the service has its answer.
  await until(async () => (await shown()).status === 200)
  const body = await shown()
  assert.deepEqual([body.state, body.status, body.failures, body.why], ['enabled', 200, 0, null])

  const tried = await service.call('POST', `/v1/webhooks/${id}/test`)
  assert.deepEqual([tried.body.delivered, tried.body.status], [true, 200])
  assert.deepEqual([receiver.taken.at(-1)!.type, receiver.taken.at(-1)!.signed], ['test', true])

  assert.equal((await service.call('DELETE', `/v1/webhooks/${id}`)).status, 204)
  assertProblem(await service.call('GET', `/v1/webhooks/${id}`), 404, 'webhook_unknown')
  const count = receiver.taken.length
  await service.enroll('pump-3')
  await until(async () => (await service.call('GET', '/v1/events?device=pump-3')).body.items.length === 1)
  await pause(100)
  assert.equal(receiver.taken.length, count)
})

test('the secret is in one answer and nowhere else', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  await using service = await startService(quick)
  const id = await add(service, receiver)
  const { secret } = receiver.keys
  assert.match(secret, /^whsec_[A-Za-z0-9+/=]{44}$/)
  for (const path of [`/v1/webhooks/${id}`, '/v1/webhooks', '/v1/audit', '/v1/events'])
    assert.ok(!(await service.call('GET', path)).text.includes(secret.slice(6)), path)
  // The path of a URL may be a secret, too.
  assert.ok(!(await service.call('GET', '/v1/audit')).text.includes('/hook'))
  assert.equal(statSync(join(service.directory, 'registry.db')).mode & 0o777, 0o600)
})

test('what was not taken is sent again, under the same ID, and nothing is left out', async () => {
  const refusals = new Map<string, number>()
  await using receiver = await startReceiver(({ id }, response) => {
    const times = (refusals.get(id) ?? 0) + 1
    refusals.set(id, times)
    response.statusCode = times <= 2 ? 503 : 204
    response.end()
  })
  await using service = await startService(quick)
  const id = await add(service, receiver)
  for (let index = 0; index < 20; index += 1) await service.enroll(`d${index}`)
  const delivered = () => new Set([...refusals].filter(([, times]) => times === 3).map(([one]) => one))
  await until(() => delivered().size === 20)
  await until(async () => (await service.call('GET', `/v1/webhooks/${id}`)).body.state === 'enabled')
  const names = new Set(receiver.taken.map(({ data }) => data.deviceId))
  assert.equal(names.size, 20)
  // A handful goes at once; no handful begins before the one before it has arrived.
  const lasts = [...delivered()].map(one => receiver.taken.findLastIndex(taken => taken.id === one))
  assert.ok(Math.max(...lasts.slice(0, 8)) < receiver.taken.findIndex(({ data }) => data.deviceId === 'd19'))
})

test('one that takes nothing for too long is disabled, aloud, and goes on where it was once it is enabled', async () => {
  let broken = true
  await using receiver = await startReceiver((_, response) => {
    response.statusCode = broken ? 500 : 200
    response.end()
  })
  let now = Date.now()
  await using service = await startService({
    ...quick,
    webhookTiming: { firstMs: 10, mostMs: 50, givesUpMs: 60_000, lookMs: 10 },
    now: () => now,
  })
  const id = await add(service, receiver, ['enrolled'])
  await service.enroll('pump-1')
  await until(async () => (await service.call('GET', `/v1/webhooks/${id}`)).body.state === 'failing')
  now += 60_000
  await until(async () => (await service.call('GET', `/v1/webhooks/${id}`)).body.state === 'disabled')
  const { body } = await service.call('GET', `/v1/webhooks/${id}`)
  assert.equal(body.disabledReason, 'unreachable')
  await until(
    async () => (await service.call('GET', '/v1/events?kind=webhook_disabled')).body.items.length === 1,
  )
  const audited = await service.call('GET', `/v1/audit?target=${id}`)
  assert.equal(audited.body.items[0].action, 'webhook.disable')
  await service.enroll('pump-2')
  broken = false
  const before = receiver.taken.length
  assert.equal((await service.call('PATCH', `/v1/webhooks/${id}`, { enabled: true })).body.state, 'enabled')
  await until(() => receiver.taken.length === before + 2)
  assert.deepEqual(
    receiver.taken
      .slice(before)
      .map(({ data }) => data.deviceId)
      .sort(),
    ['pump-1', 'pump-2'],
  )
})

test('410 ends it at once', async () => {
  await using receiver = await startReceiver((_, response) => {
    response.statusCode = 410
    response.end()
  })
  await using service = await startService(quick)
  const id = await add(service, receiver)
  await service.enroll('pump-1')
  await until(async () => (await service.call('GET', `/v1/webhooks/${id}`)).body.disabledReason === 'gone')
})

test('an answer is looked at for its status alone: no redirect is followed, no body kept, no silence waited for', async () => {
  let asked = 0
  await using inner = await startReceiver((_, response) => {
    asked += 1
    response.end()
  })
  await using receiver = await startReceiver(({ type }, response) => {
    if (type === 'redirect') response.writeHead(307, { location: inner.url }).end()
    else if (type === 'endless') {
      response.writeHead(200)
      const timer = setInterval(() => response.write('x'.repeat(60_000)), 1)
      response.on('close', () => clearInterval(timer))
    } else if (type === 'switching')
      response.socket!.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n')
    else if (type !== 'silent') response.end()
  })
  const reachable = { privateAddresses: true }
  const sender = createSender({ reachable, timeoutMs: 30_000, now: Date.now })
  const hasty = createSender({ reachable, timeoutMs: 500, now: Date.now })
  const deliver = (type: string, by = sender) =>
    by.deliver({ url: receiver.url, secret: 'whsec_AAAA' }, { id: type, type, at: 0, data: {} })
  const redirected = await deliver('redirect')
  assert.deepEqual([redirected.delivered, redirected.status], [false, 307])
  assert.match(redirected.why ?? '', /redirects are not followed/)
  assert.equal(asked, 0)
  assert.equal((await deliver('endless')).delivered, true)
  const silent = await deliver('silent', hasty)
  assert.deepEqual([silent.delivered, silent.status], [false, null])
  assert.match(silent.why ?? '', /did not answer within 0.5 s/)
  const switching = await deliver('switching')
  assert.deepEqual([switching.delivered, switching.status], [false, null])
  assert.match(switching.why ?? '', /closed without an answer/)
  assert.equal((await deliver('plain')).delivered, true)
  for (const one of [sender, hasty]) one.close()
})

test('a webhook waits for no receiver of another one, on the same host or elsewhere', async () => {
  await using receiver = await startReceiver(({ type }, response) => {
    if (type !== 'silent') response.end()
  })
  const sender = createSender({ reachable: { privateAddresses: true }, timeoutMs: 30_000, now: Date.now })
  const deliver = (type: string) =>
    sender.deliver({ url: receiver.url, secret: 'whsec_AAAA' }, { id: type, type, at: 0, data: {} })
  const silent = Array.from({ length: 49 * 8 }, () => deliver('silent'))
  await until(() => receiver.taken.length === silent.length)
  assert.equal((await deliver('plain')).delivered, true)
  sender.close()
  for (const outcome of await Promise.all(silent)) assert.equal(outcome.delivered, false)
})

test('private addresses and plain http are refused unless they are allowed', async () => {
  await using service = await startService()
  for (const url of [
    'http://example.net/hook',
    'https://127.0.0.1/hook',
    'https://[::1]/hook',
    'https://[::ffff:127.0.0.1]/hook',
    'https://[::ffff:169.254.169.254]/hook',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/hook',
    'https://user:word@example.net/hook',
    'ftp://example.net/',
    'nonsense',
  ]) {
    assertProblem(await service.call('POST', '/v1/webhooks', { url }), 400, 'webhook_url_refused')
  }
  assert.deepEqual((await service.call('GET', '/v1/webhooks')).body.items, [])
})

test('a name is judged by where it leads when it is connected to, whatever it led to before', async () => {
  await using receiver = await startReceiver((_, response) => response.end())
  const { port } = new URL(receiver.url)
  const leads: { address: string; family: number }[][] = [
    [{ address: '127.0.0.1', family: 4 }],
    [
      { address: '93.184.216.34', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ],
    [{ address: '::ffff:127.0.0.1', family: 6 }],
    [{ address: '::1', family: 6 }],
    [{ address: '169.254.169.254', family: 4 }],
    [{ address: 'fd00:ec2::254', family: 6 }],
    [{ address: '::ffff:a9fe:a9fe', family: 6 }],
  ]
  let asked = 0
  const reachable = { privateAddresses: false, resolve: async () => leads[asked++]! }
  const sender = createSender({ reachable, timeoutMs: 30_000, now: Date.now })
  for (const _ of leads) {
    const outcome = await sender.deliver(
      { url: `https://hooks.example.net:${port}/hook`, secret: 'whsec_AAAA' },
      { id: 'a', type: 'a', at: 0, data: {} },
    )
    assert.equal(outcome.delivered, false)
    assert.match(outcome.why ?? '', /no public address/)
  }
  assert.equal(asked, leads.length)
  assert.equal(receiver.taken.length, 0)
  sender.close()

  // The address that was judged is the one that is connected to: nobody resolves the name again.
  let resolved = 0
  const turning = {
    privateAddresses: true,
    resolve: async () => [{ address: resolved++ === 0 ? '127.0.0.1' : '192.0.2.1', family: 4 }],
  }
  const second = createSender({ reachable: turning, timeoutMs: 30_000, now: Date.now })
  const outcome = await second.deliver(
    { url: `http://hooks.example.net:${port}/hook`, secret: 'whsec_AAAA' },
    { id: 'a', type: 'a', at: 0, data: {} },
  )
  assert.deepEqual([outcome.delivered, resolved], [true, 1])
  second.close()
})
