// What is no valid request: refused as a whole problem document, and nothing is written.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isDeviceId } from '../../../pki/device-id.ts'
import { NAME_PATTERN } from '../../../provisioning/http/schemas.ts'
import { assertProblem, countDevices, makeCsr, startService } from '../harness.ts'

test('an invalid ID is answered by what an ID may be', async () => {
  await using service = await startService()
  for (const ask of [
    () => service.call('POST', '/v1/devices', { id: 'pump 1' }),
    () => service.call('GET', '/v1/devices/pump%201'),
  ]) {
    const { status, body } = await ask()
    assert.equal(status, 400)
    assert.match(body.errors[0].message, /^may be 1 to 128 of A-Z a-z 0-9 \. _ -/)
    assert.doesNotMatch(JSON.stringify(body), /\(\?!/)
  }
})

test('threat 22: unknown fields such as role or status are refused everywhere, and nothing is written', async t => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { csr } = makeCsr('p256')
  const issued = await service.enroll('pump-2')
  const rows: [string, string, string, string][] = [
    ['role', 'POST', '/v1/devices', '{"id":"x","role":"admin"}'],
    ['status', 'POST', '/v1/devices/pump-1/certificates', JSON.stringify({ csr, status: 'active' })],
    ['deviceId', 'POST', '/v1/devices/pump-1/certificates', JSON.stringify({ csr, deviceId: 'pump-2' })],
    [
      'csr and certificate',
      'POST',
      '/v1/devices/pump-1/certificates',
      JSON.stringify({ csr, certificate: service.ca }),
    ],
    ['state', 'PATCH', '/v1/devices/pump-1', '{"state":"active"}'],
    ['nothing to change', 'PATCH', '/v1/devices/pump-1', '{}'],
    ['epoch', 'POST', `/v1/certificates/${issued.fingerprint}/revoke`, '{"epoch":1}'],
    ['a field where none is taken', 'POST', '/v1/devices/pump-1/suspend', '{"force":true}'],
    ['a canary kind', 'POST', '/v1/devices/pump-1/canaries', JSON.stringify({ csr, kind: 'admitted' })],
    [
      'trust',
      'POST',
      '/v1/devices/pump-1/certificates',
      JSON.stringify({ certificate: service.ca, trust: 'blind' }),
    ],
  ]
  for (const [name, method, path, raw] of rows) {
    await t.test(name, async () => {
      const answer = await service.call(method, path, undefined, { raw })
      assertProblem(answer, 400, 'request_invalid')
      assert.ok(answer.body.errors.length > 0)
    })
  }
  await t.test('the answer names the field', async () => {
    const answer = await service.call('POST', '/v1/devices', { id: 'x', role: 'admin' })
    assert.deepEqual(answer.body.errors, [{ path: 'body', message: 'unknown field "role"' }])
    const two = await service.call('POST', '/v1/devices/pump-1/certificates', { csr, status: 'active' })
    assert.deepEqual(two.body.errors, [{ path: 'body', message: 'unknown field "status"' }])
    const none = await service.call('POST', '/v1/devices/pump-1/certificates', {})
    assert.deepEqual(none.body.errors, [
      { path: 'body', message: 'missing field "csr"' },
      { path: 'body', message: 'missing field "certificate"' },
    ])
    const reason = await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`, {
      reason: 'x',
    })
    assert.match(reason.body.errors[0].message, /must be one of "unspecified", "keyCompromise"/)
  })
  for (const raw of [
    '{"__proto__":{"role":"admin"},"id":"x"}',
    '{"id":"x","attributes":{"__proto__":"y"}}',
    '{"constructor":{"prototype":{}},"id":"x"}',
  ]) {
    await t.test(raw, async () => {
      const answer = await service.call('POST', '/v1/devices', undefined, { raw })
      assertProblem(answer, 400, 'body_malformed')
    })
  }
  await t.test('query', async () => {
    for (const query of [
      'role=admin',
      'limit=0',
      'limit=501',
      'limit=ten',
      'limit=1&limit=2',
      'state=happy',
      '__proto__=x',
      'cursor=',
    ]) {
      const answer = await service.call('GET', `/v1/devices?${query}`)
      assert.equal(answer.status, 400, `${query}: ${answer.text}`)
    }
  })
  assert.equal(await countDevices(service), 2)
  assert.equal((await service.call('GET', '/v1/devices/pump-1')).body.state, 'registered')
})

test('threat 22: an odd Content-Type never skips validation', async t => {
  await using service = await startService()
  const raw = '{"id":"sneaked","role":"admin"}'
  const types = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json\t;',
    'application/json ;x',
    'application/vnd.api+json',
    'APPLICATION/JSON',
    'application/json;charset=utf-7',
    ' application/json',
    'application/jsonx',
    '*/*',
    'json',
    '',
  ]
  for (const type of types) {
    await t.test(JSON.stringify(type), async () => {
      const answer = await service.call('POST', '/v1/devices', undefined, {
        raw,
        headers: { 'content-type': type },
      })
      assert.ok(answer.status === 415 || answer.status === 400, `${answer.status} ${answer.text}`)
    })
  }
  await t.test('a content type JSON with valid content is taken', async () => {
    const headers = { 'content-type': 'application/json; charset=utf-8' }
    assert.equal(
      (await service.call('POST', '/v1/devices', undefined, { raw: '{"id":"a"}', headers })).status,
      201,
    )
  })
  assert.equal(await countDevices(service), 1)
})

test('values of the wrong type are not converted', async () => {
  await using service = await startService()
  for (const body of [
    { id: 7 },
    { id: null },
    { id: ['a'] },
    { id: 'a', attributes: { floor: 3 } },
    { id: 'a', groups: 'g' },
    [],
    'a',
    null,
  ]) {
    assertProblem(await service.call('POST', '/v1/devices', body), 400, 'request_invalid')
  }
  assert.equal(await countDevices(service), 0)
})

test('threat 5: IDs, groups and attribute keys that could be a topic, a path or an inherited name cannot be made', async t => {
  await using service = await startService()
  const names = [
    '',
    '.',
    '..',
    'a/b',
    '../x',
    'a#',
    '+',
    '$SYS',
    'a b',
    'a\0',
    'ä',
    'a\n',
    'x'.repeat(129),
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'valueOf',
    '__defineGetter__',
  ]
  for (const name of names) {
    await t.test(JSON.stringify(name), async () => {
      assert.equal(isDeviceId(name), false)
      assert.equal((await service.call('POST', '/v1/devices', { id: name })).status, 400)
      assert.equal((await service.call('POST', '/v1/devices', { id: 'a', groups: [name] })).status, 400)
      const raw = `{"id":"a","attributes":{${JSON.stringify(name)}:"x"}}`
      assert.equal((await service.call('POST', '/v1/devices', undefined, { raw })).status, 400)
    })
  }
  assert.equal(await countDevices(service), 0)
  for (const name of ['a', 'A.b_c-9', '...', '-', 'x'.repeat(128), 'proto', 'Constructor']) {
    assert.equal((await service.call('POST', '/v1/devices', { id: name })).status, 201, name)
    assert.equal((await service.call('GET', `/v1/devices/${name}`)).status, 200, name)
  }
})

test('the pattern in the OpenAPI document is the rule of the registry', () => {
  const pattern = new RegExp(NAME_PATTERN)
  const pieces = [
    '',
    '.',
    '..',
    'a',
    'Z9',
    '_',
    '-',
    '/',
    '#',
    ' ',
    '\n',
    'ä',
    'a\n',
    ...Object.getOwnPropertyNames(Object.prototype),
  ]
  for (const first of pieces) {
    for (const second of pieces) {
      const name = first + second
      assert.equal(pattern.test(name), isDeviceId(name), JSON.stringify(name))
    }
  }
})

test('threat 24: ../ in an ID never touches a path', async t => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const paths = [
    '/v1/devices/..%2f..%2fadmin.token',
    '/v1/devices/%2e%2e%2fkeys%2froot.key',
    '/v1/devices/../../admin.token',
    '/docs/static/..%2f..%2f..%2fpackage.json',
    '/docs/static/%2e%2e/%2e%2e/package.json',
    '/docs/../admin.token',
    '/v1/certificates/..%2f..%2fca.crt',
    '/v1/devices/..%2f/certificates',
    '/v1/devices/pump-1%00',
    '/v1/devices/%zz',
    `/v1/devices/${'x'.repeat(129)}`,
    `/v1/devices/${'x'.repeat(5000)}`,
  ]
  for (const path of paths) {
    await t.test(path.slice(0, 60), async () => {
      const answer = await service.call('GET', path)
      assert.ok([400, 404, 414].includes(answer.status), `${answer.status} ${answer.text}`)
      assert.doesNotMatch(answer.text, /rc_[A-Za-z0-9_-]{43}|PRIVATE KEY|"dependencies"/)
    })
  }
})

test('bodies that are too large, not JSON, or missing are refused', async () => {
  await using service = await startService()
  const large = JSON.stringify({ id: 'a', attributes: { x: 'y'.repeat(70_000) } })
  assertProblem(await service.call('POST', '/v1/devices', undefined, { raw: large }), 413, 'body_too_large')
  assertProblem(
    await service.call('POST', '/v1/devices', undefined, { raw: '{"id":' }),
    400,
    'body_malformed',
  )
  assertProblem(await service.call('POST', '/v1/devices', undefined, { raw: '' }), 400, 'body_malformed')
  assertProblem(await service.call('POST', '/v1/devices'), 400, 'request_invalid')
  const attributes = Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`k${index}`, 'v']))
  assertProblem(await service.call('POST', '/v1/devices', { id: 'a', attributes }), 400, 'request_invalid')
  assertProblem(
    await service.call('POST', '/v1/devices', { id: 'a', attributes: { a: 'x\u0000y' } }),
    400,
    'request_invalid',
  )
})

test('unknown routes and methods are problems too', async () => {
  await using service = await startService()
  assertProblem(await service.call('GET', '/nothing'), 404, 'route_unknown')
  assertProblem(await service.call('DELETE', '/v1/devices'), 404, 'route_unknown')
  assertProblem(await service.call('GET', '/v1/devices/nobody'), 404, 'device_unknown')
  assertProblem(await service.call('PATCH', '/v1/devices/nobody', { groups: [] }), 404, 'device_unknown')
  assertProblem(await service.call('POST', '/v1/devices/nobody/suspend'), 404, 'device_unknown')
  assertProblem(await service.call('GET', '/v1/devices/nobody/admission'), 404, 'device_unknown')
  const nothing = 'f'.repeat(64)
  assertProblem(await service.call('GET', `/v1/certificates/${nothing}`), 404, 'certificate_unknown')
  assertProblem(await service.call('POST', `/v1/certificates/${nothing}/revoke`), 404, 'certificate_unknown')
  assertProblem(await service.call('GET', '/v1/certificates/short'), 400, 'request_invalid')
  assertProblem(await service.call('POST', '/v1/admission', { certificate: 'x' }), 400, 'certificate_invalid')
})
