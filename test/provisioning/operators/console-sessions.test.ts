// Signing in to the console: the cookie and its flags, what changes must show beside it, and when a session ends.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { type Service, selfSigned, startService } from '../harness.ts'

const cookieOf = (answer: Answer) => String(answer.headers['set-cookie']).split(';')[0]!

async function signIn(service: Service, body: object | undefined, identity: Identity | null = null) {
  const answer = await ask(service, identity, 'POST', '/v1/session', body)
  assert.equal(answer.status, 200, answer.bytes.toString())
  const cookie = cookieOf(answer)
  const csrf = answer.body.csrfToken as string
  const as = (method: string, path: string, body?: object, headers: Record<string, string> = {}) =>
    ask(service, identity, method, path, body, { cookie, ...headers })
  return { answer, cookie, csrf, as, change: { 'x-csrf-token': csrf } }
}

const reason = ({ status, body }: Answer) => [status, body?.reason]

test('signs in with a token for a cookie that no script reads, no other site sends and no plain request carries', async () => {
  const now = Date.now()
  await using service = await startService({ now: () => now })
  const { answer, as, csrf } = await signIn(service, { token: service.token })
  assert.match(
    String(answer.headers['set-cookie']),
    /^__Host-rollcall=[\w-]{43}; Max-Age=28800; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
  )
  assert.equal(answer.body.operator.role, 'admin')
  assert.ok(!answer.bytes.includes(service.token))
  const again = await as('GET', '/v1/session')
  assert.deepEqual(again.body, answer.body)
  assert.equal(again.body.csrfToken, csrf)
  assert.equal((await as('GET', '/v1/devices')).status, 200)
  assert.equal((await as('GET', '/v1/whoami')).body.kind, 'token')
})

test('a wrong token signs nobody in', async () => {
  await using service = await startService()
  for (const token of ['rc_nothing', `${service.token}x`, '']) {
    const answer = await ask(service, null, 'POST', '/v1/session', { token })
    assert.deepEqual(reason(answer), [401, 'token_refused'])
    assert.equal(answer.headers['set-cookie'], undefined)
  }
  assert.deepEqual(reason(await ask(service, null, 'POST', '/v1/session')), [401, 'token_missing'])
  const stray = await ask(service, null, 'POST', '/v1/session', { token: service.token, role: 'admin' })
  assert.deepEqual(reason(stray), [400, 'request_invalid'])
})

test('guesses are limited per address', async () => {
  await using service = await startService({ failuresPerMinuteMax: 3 })
  const statuses: number[] = []
  for (let guess = 0; guess < 5; guess += 1) {
    statuses.push((await ask(service, null, 'POST', '/v1/session', { token: `guess${guess}` })).status)
  }
  assert.deepEqual(statuses, [401, 401, 401, 429, 429])
  assert.equal((await ask(service, null, 'POST', '/v1/session', { token: service.token })).status, 200)
})

test('a change within a session shows its token and comes from our own page', async t => {
  await using service = await startService()
  const { as, change, csrf } = await signIn(service, { token: service.token })
  const other = await signIn(service, { token: service.token })
  const own = `https://${new URL(service.url).host}`
  const cases: [string, Record<string, string>, unknown[]][] = [
    ['without the token', {}, [403, 'csrf_token_missing']],
    ['with another token', { 'x-csrf-token': `${csrf.slice(0, -1)}~` }, [403, 'csrf_token_missing']],
    ['with the token of another session', other.change, [403, 'csrf_token_missing']],
    ['with an empty token', { 'x-csrf-token': '' }, [403, 'csrf_token_missing']],
    ['from another site', { ...change, 'sec-fetch-site': 'cross-site' }, [403, 'origin_refused']],
    ['from a neighbour', { ...change, 'sec-fetch-site': 'same-site' }, [403, 'origin_refused']],
    ['from another origin', { ...change, origin: 'https://evil.example' }, [403, 'origin_refused']],
    ['from no origin to speak of', { ...change, origin: 'null' }, [403, 'origin_refused']],
    ['from our page', { ...change, origin: own, 'sec-fetch-site': 'same-origin' }, [201, undefined]],
    ['by a program', change, [201, undefined]],
  ]
  for (const [index, [name, headers, expected]] of cases.entries()) {
    await t.test(name, async () => {
      assert.deepEqual(reason(await as('POST', '/v1/devices', { id: `d-${index}` }, headers)), expected)
    })
  }
  await t.test('reading needs neither', async () => {
    assert.equal((await as('GET', '/v1/devices', undefined, { 'sec-fetch-site': 'cross-site' })).status, 200)
  })
  await t.test('signing in does', async () => {
    const answer = await ask(
      service,
      null,
      'POST',
      '/v1/session',
      { token: service.token },
      { origin: 'https://evil.example' },
    )
    assert.deepEqual(reason(answer), [403, 'origin_refused'])
  })
})

test('another page cannot use the certificate that a browser shows by itself', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  const added = { name: 'alice', role: 'operator', certificate: alice.certificate }
  assert.equal((await service.call('POST', '/v1/operators', added)).status, 201)
  const from = (headers: Record<string, string>) =>
    ask(service, alice, 'POST', '/v1/devices', { id: 'pump-1' }, headers)
  assert.deepEqual(reason(await from({ origin: 'https://evil.example' })), [403, 'origin_refused'])
  assert.deepEqual(reason(await from({ 'sec-fetch-site': 'cross-site' })), [403, 'origin_refused'])
  assert.equal((await from({})).status, 201)
})

test('the Authorization header counts before the cookie', async () => {
  await using service = await startService()
  const { as } = await signIn(service, { token: service.token })
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
  assert.equal((await as('POST', '/v1/devices', { id: 'a' }, bearer(service.token))).status, 201)
  assert.deepEqual(reason(await as('GET', '/v1/devices', undefined, bearer('rc_bad'))), [
    401,
    'token_refused',
  ])
  assert.deepEqual(reason(await as('GET', '/v1/session', undefined, bearer(service.token))), [
    404,
    'session_unknown',
  ])
})

test('a cookie that is none, old or doubled opens nothing, and a newer one is not taken away with it', async () => {
  await using service = await startService()
  const { cookie } = await signIn(service, { token: service.token })
  for (const bad of [
    '__Host-rollcall=',
    '__Host-rollcall=../../etc',
    `__Host-rollcall=${'A'.repeat(43)}`,
    `${cookie}; ${cookie}`,
    `__Host-rollcall=${'A'.repeat(43)}; ${cookie}`,
  ]) {
    const answer = await ask(service, null, 'GET', '/v1/devices', undefined, { cookie: bad })
    assert.deepEqual(reason(answer), [401, 'session_ended'], bad)
    assert.equal(answer.headers['set-cookie'], undefined)
  }
  const beside = await ask(service, null, 'GET', '/v1/devices', undefined, {
    cookie: `theme=dark; ${cookie}`,
  })
  assert.equal(beside.status, 200)
})

test('signing out ends the session, and signing in again the one before', async () => {
  await using service = await startService()
  const { as, change, cookie } = await signIn(service, { token: service.token })
  assert.deepEqual(reason(await as('DELETE', '/v1/session')), [403, 'csrf_token_missing'])
  const out = await as('DELETE', '/v1/session', undefined, change)
  assert.equal(out.status, 204)
  assert.match(String(out.headers['set-cookie']), /Max-Age=0/)
  assert.deepEqual(reason(await as('GET', '/v1/session')), [401, 'session_ended'])

  const first = await signIn(service, { token: service.token })
  const second = await first.as('POST', '/v1/session', { token: service.token })
  assert.notEqual(cookieOf(second), first.cookie)
  assert.deepEqual(reason(await first.as('GET', '/v1/session')), [401, 'session_ended'])
  assert.notEqual(cookie, first.cookie)
})

test('a session ends with its token, and with its time', async () => {
  let clock = Date.now()
  await using service = await startService({ now: () => clock })
  const made = await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer', days: 1 })
  const { token, id } = made.body
  const eve = await signIn(service, { token })
  assert.equal((await eve.as('GET', '/v1/devices')).status, 200)
  await service.call('POST', `/v1/api-tokens/${id}/revoke`)
  assert.deepEqual(reason(await eve.as('GET', '/v1/devices')), [401, 'session_ended'])

  const idle = await signIn(service, { token: service.token })
  clock += 30 * 60_000 - 1
  assert.equal((await idle.as('GET', '/v1/devices')).status, 200)
  clock += 30 * 60_000
  assert.deepEqual(reason(await idle.as('GET', '/v1/devices')), [401, 'session_ended'])

  const busy = await signIn(service, { token: service.token })
  for (let minutes = 0; minutes < 8 * 60 - 20; minutes += 20) {
    clock += 20 * 60_000
    assert.equal((await busy.as('GET', '/v1/devices')).status, 200)
  }
  clock += 20 * 60_000
  assert.deepEqual(reason(await busy.as('GET', '/v1/devices')), [401, 'session_ended'])

  const short = await service.call('POST', '/v1/api-tokens', { name: 'short', role: 'viewer', days: 1 })
  clock += 86_400_000 - 60_000
  const last = await signIn(service, { token: short.body.token })
  assert.match(String(last.answer.headers['set-cookie']), /Max-Age=60;/)
  clock += 60_000
  assert.deepEqual(reason(await last.as('GET', '/v1/devices')), [401, 'session_ended'])
})

test('a session of a certificate is worth nothing without it, and ends with the operator', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  const added = await service.call('POST', '/v1/operators', {
    name: 'alice',
    role: 'viewer',
    certificate: alice.certificate,
  })
  const { as, cookie } = await signIn(service, undefined, alice)
  assert.equal((await as('GET', '/v1/devices')).status, 200)
  for (const thief of [null, selfSigned('mallory')]) {
    const stolen = await ask(service, thief, 'GET', '/v1/devices', undefined, { cookie })
    assert.deepEqual(reason(stolen), [401, 'session_ended'])
  }
  assert.equal((await as('GET', '/v1/devices')).status, 200, 'the theft does not end it')
  await service.call('POST', `/v1/operators/${added.body.fingerprint}/revoke`)
  assert.deepEqual(reason(await as('GET', '/v1/devices')), [401, 'session_ended'])
})

test('a session reaches as far as its token: no further role, no other group', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1', groups: ['pumps'] })
  await service.call('POST', '/v1/devices', { id: 'valve-1' })
  const made = await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'viewer', group: 'pumps' })
  const { as, change } = await signIn(service, { token: made.body.token })
  const listed = await as('GET', '/v1/devices')
  assert.deepEqual(
    listed.body.items.map((item: { id: string }) => item.id),
    ['pump-1'],
  )
  assert.deepEqual(reason(await as('POST', '/v1/devices', { id: 'x' }, change)), [403, 'role_insufficient'])
  assert.deepEqual(reason(await as('GET', '/v1/devices/valve-1')), [404, 'device_unknown'])
})
