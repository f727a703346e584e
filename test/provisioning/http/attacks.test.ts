// Attacks that know HTTP better than most proxies do: smuggling, spoofing, guessing, waiting.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { assertProblem, type Service, startService } from '../harness.ts'

/** Sends bytes as they are and gives the status lines that come back. */
function raw(
  service: Service,
  lines: readonly string[],
  body = '',
): Promise<{ statuses: number[]; text: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(new URL(service.url).port), host: '127.0.0.1', ca: service.ca })
    let text = ''
    socket.on('secureConnect', () => socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`))
    socket.setEncoding('utf8').on('data', part => {
      text += part
    })
    socket.on('error', error => ('code' in error && error.code === 'ECONNRESET' ? undefined : reject(error)))
    socket.on('close', () => {
      const statuses = [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(match => Number(match[1]))
      resolve({ statuses, text })
    })
  })
}

const head = ['Host: localhost', 'Connection: close']

test('of two Authorization headers neither counts', async () => {
  await using service = await startService()
  const good = `Authorization: Bearer ${service.token}`
  const bad = 'Authorization: Bearer rc_no'
  for (const pair of [
    [good, bad],
    [bad, good],
    [good, good],
    [good, 'authorization: Basic eA=='],
  ]) {
    const { statuses, text } = await raw(service, ['GET /v1/whoami HTTP/1.1', ...head, ...pair])
    assert.deepEqual(statuses, [400])
    assert.match(text, /more than one Authorization header/)
    assert.doesNotMatch(text, /rc_/)
  }
  assert.deepEqual((await raw(service, ['GET /v1/whoami HTTP/1.1', ...head, good])).statuses, [200])
})

test('a request inside a request, by whatever length it lies about, is never served', async () => {
  await using service = await startService()
  const inner = `POST /v1/devices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${service.token}\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"id":"smuggled"}`
  const auth = `Authorization: Bearer ${service.token}`
  const rows: [string, string[], string][] = [
    ['both lengths', ['Content-Length: 4', 'Transfer-Encoding: chunked'], `0\r\n\r\n${inner}`],
    ['two lengths', ['Content-Length: 0', `Content-Length: ${inner.length}`], inner],
    ['an odd encoding', ['Transfer-Encoding: xchunked'], `0\r\n\r\n${inner}`],
    ['a hidden encoding', ['Transfer-Encoding : chunked', 'Content-Length: 4'], `0\r\n\r\n${inner}`],
    ['a folded header', ['X-A: b', ' Transfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${inner}`],
    ['a signed length', ['Content-Length: +0'], inner],
    ['a bare line feed', ['X-A: b\nTransfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${inner}`],
  ]
  for (const [name, headers, body] of rows) {
    const { statuses } = await raw(
      service,
      ['POST /v1/devices/a/suspend HTTP/1.1', ...head, auth, ...headers],
      body,
    )
    assert.ok(statuses.every(status => status >= 400) && statuses.length <= 1, `${name}: ${statuses}`)
  }
  assert.deepEqual((await service.call('GET', '/v1/devices')).body.items, [])
})

test('headers that are too large or too many end the connection with 431, and cost nobody else anything', async () => {
  await using service = await startService()
  const large = await raw(service, ['GET /v1/whoami HTTP/1.1', ...head, `X-A: ${'a'.repeat(20_000)}`])
  assert.deepEqual(large.statuses, [431])
  const many = Array.from({ length: 3_000 }, (_, index) => `X-${index}: a`)
  assert.deepEqual((await raw(service, ['GET /v1/whoami HTTP/1.1', ...head, ...many])).statuses, [431])
  const token = await raw(service, [
    'GET /v1/whoami HTTP/1.1',
    ...head,
    `Authorization: Bearer ${'a'.repeat(10_000)}`,
  ])
  assert.deepEqual(token.statuses, [401])
  assert.equal((await service.call('GET', '/v1/whoami')).status, 200)
})

test('no header changes the caller, its address, or the method', async () => {
  await using service = await startService({ failuresPerMinuteMax: 3 })
  const spoofs = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5', '192.0.2.6']
  const statuses: number[] = []
  for (const address of spoofs) {
    const headers = {
      'x-forwarded-for': address,
      forwarded: `for=${address}`,
      'x-real-ip': address,
      'x-remote-user': 'admin',
    }
    statuses.push((await service.call('GET', '/v1/whoami', undefined, { token: null, headers })).status)
  }
  assert.deepEqual(statuses, [401, 401, 401, 429, 429, 429])
  await service.call('POST', '/v1/devices', { id: 'a' })
  const headers = {
    'x-http-method-override': 'POST',
    'x-original-url': '/v1/devices/a/suspend',
    'x-rewrite-url': '/v1/devices/a/suspend',
  }
  assert.equal((await service.call('GET', '/v1/devices/a', undefined, { headers })).status, 200)
  assert.equal((await service.call('GET', '/v1/devices/a')).body.state, 'registered')
  const { body } = await service.call('GET', '/v1/api-tokens')
  assert.equal(body.items[0].lastUsedAddress === null || body.items[0].lastUsedAddress === '127.0.0.1', true)
})

test('guesses from an address lock out nobody there, are told to wait, and write few log lines', async () => {
  await using service = await startService({ failuresPerMinuteMax: 5 })
  const guess = () => service.call('GET', '/v1/whoami', undefined, { token: `rc_${'x'.repeat(43)}` })
  const guesses = await Promise.all(Array.from({ length: 40 }, guess))
  assert.equal(guesses.filter(answer => answer.status === 401).length, 5)
  for (const answer of guesses.filter(each => each.status === 429)) {
    assertProblem(answer, 429, 'rate_limited')
    const seconds = Number(answer.headers['retry-after'])
    assert.ok(seconds >= 1 && seconds <= 60)
  }
  // The right one from the same address, before, between and after: nothing was locked.
  assert.equal((await service.call('GET', '/v1/whoami')).status, 200)
  assert.equal((await guess()).status, 429)
  assert.equal((await service.call('POST', '/v1/devices', { id: 'a' })).status, 201)
  const counters = await service.running.metrics()
  assert.match(counters, /rollcall_\w*authentication_failures_total\{reason="token_refused"\} 5/)
})

test('the rate limit says what is left, and a token that has nothing left when to come back', async () => {
  await using service = await startService({ requestsPerMinuteMax: 3 })
  const answers = []
  for (let index = 0; index < 4; index += 1) answers.push(await service.call('GET', '/v1/whoami'))
  assert.deepEqual(
    answers.map(({ status, headers }) => [
      status,
      headers['ratelimit-limit'],
      headers['ratelimit-remaining'],
    ]),
    [
      [200, '3', '2'],
      [200, '3', '1'],
      [200, '3', '0'],
      [429, '3', '0'],
    ],
  )
  for (const { headers } of answers) assert.ok(Number(headers['ratelimit-reset']) <= 60)
  assert.ok(Number(answers[3]!.headers['retry-after']) >= 1)
  // Strangers have a budget of their own: they cannot spend a token's, nor it theirs.
  assert.equal((await service.call('GET', '/livez', undefined, { token: null })).status, 200)
})

test('a token is one whole word after Bearer, and nothing else', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const forms = [
    service.token,
    `Bearer${service.token}`,
    `Bearer ${service.token} x`,
    `Bearer "${service.token}"`,
    `Bearer ${service.token},Bearer ${service.token}`,
    `Token ${service.token}`,
    `Bearer ${service.token}%00`,
    `Bearer ${Buffer.from(service.token).toString('base64')}`,
    'Bearer ',
    'Bearer rc_',
  ]
  for (const authorization of forms) {
    const answer = await service.call('GET', '/v1/whoami', undefined, {
      token: null,
      headers: { authorization },
    })
    assert.equal(answer.status, 401, authorization)
    assert.equal(answer.text.includes(service.token), false)
  }
})
