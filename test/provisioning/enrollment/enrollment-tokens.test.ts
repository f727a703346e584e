// One-time tokens: what one opens, how long, how often, and what it does not open.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pemBlocks } from '../../../pki/pem.ts'
import { type Answer, ask } from '../device-requests.ts'
import { makeCsr, type Service, startService } from '../harness.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

type Made = { id: string; token: string; expiresAt: string }

async function make(service: Service, order: object): Promise<Made> {
  const { status, body, text } = await service.call('POST', '/v1/enrollment-tokens', order)
  assert.equal(status, 201, text)
  return body
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

function enroll(
  service: Service,
  token: string,
  body: object | Buffer,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return ask(service, null, 'POST', '/v1/enroll', body, { ...bearer(token), ...headers })
}

const reason = ({ status, body }: Answer) => [status, body?.reason]

/** Checked here once: no answer and no file of the registry holds a token. */
function assertKeptNowhere(service: Service, token: string): void {
  for (const file of ['registry.db', 'registry.db-wal']) {
    assert.equal(readFileSync(join(service.directory, file)).includes(token.slice(4)), false, file)
  }
}

test('a token enrolls the device it was made for, once', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { id, token } = await make(service, { deviceId: 'pump-1' })
  assert.match(token, /^rce_[A-Za-z0-9_-]{43}$/)
  const { csr } = makeCsr('p256')
  const first = await enroll(service, token, { csr })
  assert.deepEqual([first.status, first.body.deviceId, first.body.status], [201, 'pump-1', 'issued'])
  const other = await enroll(service, token, { csr: makeCsr('p256').csr })
  assert.deepEqual(reason(other), [409, 'enrollment_token_used'])
  const shown = await service.call('GET', `/v1/enrollment-tokens/${id}`)
  assert.deepEqual([shown.body.status, shown.body.usedBy, shown.body.attempts], ['used', 'pump-1', 1])
  assert.equal(shown.text.includes(token), false)
  assertKeptNowhere(service, token)
  const { items } = (await service.call('GET', `/v1/audit?target=${id}`)).body
  assert.deepEqual(
    items.map((row: { action: string; actor: string }) => [row.action, row.actor]),
    [
      ['enrollment-token.use', `enrollment-token:${id}`],
      ['enrollment-token.create', 'admin.token'],
    ],
  )
})

test('a token of a group registers a new device there, and takes none that is registered', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { token } = await make(service, { group: 'pumps' })
  const { csr } = makeCsr('p256')
  const cases: [object, number, string][] = [
    [{ csr }, 400, 'device_id_missing'],
    [{ csr, deviceId: 'pump-1' }, 409, 'device_exists'],
    [{ csr, deviceId: '__proto__' }, 400, 'request_invalid'],
    [{ csr, deviceId: 'pump-2', group: 'backend' }, 400, 'request_invalid'],
  ]
  for (const [body, ...expected] of cases) {
    assert.deepEqual(reason(await enroll(service, token, body)), expected)
  }
  assert.equal((await enroll(service, token, { csr, deviceId: 'pump-2' })).body.deviceId, 'pump-2')
  const device = await service.call('GET', '/v1/devices/pump-2')
  assert.deepEqual([device.body.groups, device.body.state], [['pumps'], 'registered'])
})

test('a token of one device opens nothing for another, and none for a device that is no more', async () => {
  await using service = await startService()
  for (const id of ['pump-1', 'pump-2', 'pump-3']) await service.call('POST', '/v1/devices', { id })
  const { token } = await make(service, { deviceId: 'pump-1' })
  const { csr } = makeCsr('p256')
  assert.deepEqual(reason(await enroll(service, token, { csr, deviceId: 'pump-2' })), [
    403,
    'device_id_refused',
  ])
  const late = await make(service, { deviceId: 'pump-3' })
  await service.call('POST', '/v1/devices/pump-3/decommission')
  assert.deepEqual(reason(await enroll(service, late.token, { csr })), [409, 'device_state_forbids'])
  const none = await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'pump-3' })
  assert.equal(none.body.reason, 'device_state_forbids')
  const unknown = await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'nobody' })
  assert.equal(unknown.status, 404)
  for (const bad of [{ deviceId: 'pump-1', group: 'g' }, {}, { group: 'g', lifetimeSeconds: 604_801 }]) {
    assert.equal((await service.call('POST', '/v1/enrollment-tokens', bad)).status, 400)
  }
  // The key of one device stays that device's.
  await enroll(service, token, { csr })
  const second = await make(service, { deviceId: 'pump-2' })
  assert.deepEqual(reason(await enroll(service, second.token, { csr })), [409, 'public_key_taken'])
})

test('a token ends to the millisecond, a lost answer after ten minutes, both at any time by revoking', async () => {
  let now = Date.parse('2031-05-06T07:08:09Z')
  const begun = now
  await using service = await startService({ now: () => now })
  const { csr } = makeCsr('p256')
  const at = async (offset: number, token: string, deviceId: string, request = csr) => {
    now = begun + offset
    return enroll(service, token, { csr: request, deviceId })
  }
  const day = await make(service, { group: 'g' })
  assert.equal(Date.parse(day.expiresAt), begun + 24 * HOUR)
  assert.deepEqual(reason(await at(24 * HOUR, day.token, 'late')), [401, 'enrollment_token_expired'])
  const first = await at(24 * HOUR - 1, day.token, 'in-time')
  assert.equal(first.status, 201)
  const used = 24 * HOUR - 1
  const again = await at(used + 10 * MINUTE - 1, day.token, 'in-time')
  assert.deepEqual([again.status, again.body.fingerprint], [201, first.body.fingerprint])
  const misnamed = await at(used + 1, day.token, 'other')
  assert.deepEqual(reason(misnamed), [409, 'enrollment_token_used'])
  assert.deepEqual(reason(await at(used + 10 * MINUTE, day.token, 'in-time')), [409, 'enrollment_token_used'])

  now = begun
  const open = await make(service, { group: 'g', lifetimeSeconds: 1 })
  const shown = await service.call('POST', `/v1/enrollment-tokens/${open.id}/revoke`)
  assert.equal(shown.body.status, 'revoked')
  assert.deepEqual(reason(await at(0, open.token, 'revoked')), [401, 'enrollment_token_revoked'])
  const short = await make(service, { group: 'g', lifetimeSeconds: 1 })
  const short2 = makeCsr('p256').csr
  assert.equal((await at(999, short.token, 'short', short2)).status, 201)
  await service.call('POST', `/v1/enrollment-tokens/${short.id}/revoke`)
  assert.deepEqual(reason(await at(999, short.token, 'short', short2)), [401, 'enrollment_token_revoked'])
})

test('five requests in vain use a token up, also when they come at once', async () => {
  await using service = await startService()
  const { token } = await make(service, { group: 'g' })
  const bad = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      enroll(service, token, { csr: `no request ${index}`, deviceId: `pump-${index}` }),
    ),
  )
  assert.equal(bad.filter(answer => answer.body.reason === 'csr_invalid').length, 5)
  assert.equal(bad.filter(answer => answer.body.reason === 'enrollment_token_exhausted').length, 7)
  const good = await enroll(service, token, { csr: makeCsr('p256').csr, deviceId: 'pump-1' })
  assert.deepEqual(reason(good), [401, 'enrollment_token_exhausted'])
  assert.equal((await service.call('GET', '/v1/devices')).body.items.length, 0)
})

test('of many devices that use one token at once, one wins; one device that asks many times at once gets the same answer', async () => {
  await using service = await startService()
  const { token } = await make(service, { group: 'g' })
  const race = await Promise.all(
    ['a', 'b', 'c', 'd', 'e'].map(deviceId => enroll(service, token, { csr: makeCsr('p256').csr, deviceId })),
  )
  assert.equal(race.filter(answer => answer.status === 201).length, 1)
  assert.equal(race.filter(answer => answer.body.reason === 'enrollment_token_used').length, 4)
  assert.equal((await service.call('GET', '/v1/devices')).body.items.length, 1)

  const same = await make(service, { group: 'g' })
  const { csr } = makeCsr('p256')
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => enroll(service, same.token, { csr, deviceId: 'again' })),
  )
  assert.deepEqual(
    new Set(answers.map(answer => answer.body.fingerprint)),
    new Set([answers[0]!.body.fingerprint]),
  )
  const listed = await service.call('GET', '/v1/certificates?deviceId=again')
  assert.equal(listed.body.items.length, 1)
})

test('guessing is bounded by address; a token that holds passes from there all the same', async () => {
  await using service = await startService({ failuresPerMinuteMax: 5 })
  const { token } = await make(service, { group: 'g' })
  const guess = (n: number) => `rce_${String(n).padStart(43, 'A')}`
  const { csr } = makeCsr('p256')
  const answers: Answer[] = []
  for (let n = 0; n < 8; n += 1) answers.push(await enroll(service, guess(n), { csr }))
  assert.deepEqual(reason(answers[0]!), [401, 'enrollment_token_refused'])
  assert.match(String(answers[0]!.headers['www-authenticate']), /^Bearer realm=/)
  assert.deepEqual(reason(answers[7]!), [429, 'rate_limited'])
  assert.ok(Number(answers[7]!.headers['retry-after']) > 0)
  assert.equal((await enroll(service, token, { csr, deviceId: 'pump-1' })).status, 201)
})

test('a token opens enrollment alone, and nothing else opens enrollment', async () => {
  await using service = await startService()
  const { token } = await make(service, { group: 'g' })
  const { csr } = makeCsr('p256')
  for (const [method, path] of [
    ['GET', '/v1/whoami'],
    ['POST', '/v1/enrollment-tokens'],
    ['GET', '/v1/devices'],
  ] as const) {
    const answer = await ask(service, null, method, path, method === 'GET' ? undefined : {}, bearer(token))
    assert.deepEqual(reason(answer), [401, 'token_refused'])
  }
  const body = { csr, deviceId: 'pump-1' }
  const shown: [Record<string, string>, string][] = [
    [{}, 'enrollment_credential_missing'],
    [bearer(service.token), 'enrollment_token_refused'],
    [{ authorization: token }, 'enrollment_token_refused'],
    [
      { authorization: `Basic ${Buffer.from(`pump-1:${token}`).toString('base64')}` },
      'enrollment_token_refused',
    ],
    [bearer(`${token} `.repeat(2)), 'enrollment_token_refused'],
    [bearer(token.toUpperCase()), 'enrollment_token_refused'],
  ]
  for (const [headers, expected] of shown) {
    const answer = await ask(service, null, 'POST', '/v1/enroll', body, headers)
    assert.equal(answer.body.reason, expected, JSON.stringify(headers))
  }
  const inUrl = await ask(service, null, 'POST', `/v1/enroll?token=${token}`, body)
  assert.equal(inUrl.status, 401)
})

test('a bare request is answered by a bare certificate; the device stands in the query', async () => {
  await using service = await startService()
  const { csr } = makeCsr('p256')
  const der = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!
  const { token } = await make(service, { group: 'g' })
  const send = (body: Buffer, type = 'application/pkcs10') =>
    ask(service, null, 'POST', '/v1/enroll?deviceId=pump-1', body, { ...bearer(token), 'content-type': type })
  const first = await send(der)
  assert.deepEqual([first.status, first.type], [201, 'application/pem-certificate-chain'])
  assert.equal(pemBlocks(first.bytes.toString(), 'CERTIFICATE').length, 2)
  for (const body of [Buffer.from(csr), Buffer.from(der.toString('base64')), der]) {
    assert.deepEqual((await send(body)).bytes, first.bytes, 'the same request, however it is written')
  }
  for (const [body, type, status] of [
    [der, 'application/octet-stream', 415],
    [der, 'text/plain', 415],
    [Buffer.from('{"csr":"x"}'), 'application/json; charset=utf-8, application/pkcs10', 409],
    [der, 'application/json', 400],
    [Buffer.from('not base64!'), 'application/pkcs10', 400],
    [Buffer.alloc(70_000, 'A'), 'application/pkcs10', 413],
  ] as const) {
    assert.equal((await send(body, type)).status, status, type)
  }
})

test('where approval is asked for, the device waits for it and then gets its certificate', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { csr } = makeCsr('p256')
  const waiting = async (deviceId: string, request: string) => {
    const { token } = await make(service, { group: 'g', approval: true })
    const send = () => enroll(service, token, { csr: request, deviceId })
    const answer = await send()
    assert.deepEqual([answer.status, answer.body.status], [202, 'pending'])
    assert.equal(answer.headers['retry-after'], '60')
    assert.equal(answer.body.certificate, undefined)
    return { send, fingerprint: answer.body.fingerprint }
  }
  const approved = await waiting('pump-1', csr)
  now += 2 * HOUR
  assert.equal((await approved.send()).status, 202)
  await service.call('POST', `/v1/certificates/${approved.fingerprint}/approve`)
  const got = await approved.send()
  assert.deepEqual([got.status, got.body.fingerprint], [201, approved.fingerprint])
  const rejected = await waiting('pump-2', makeCsr('p256').csr)
  await service.call('POST', `/v1/certificates/${rejected.fingerprint}/reject`)
  assert.deepEqual(reason(await rejected.send()), [403, 'enrollment_rejected'])
})
