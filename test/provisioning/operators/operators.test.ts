// Operators' certificates over mutual TLS: never a device's, never confused with one, and ended by time and by hand.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import {
  type Answer,
  assertProblem,
  makeCsr,
  makeForeignCa,
  type Service,
  selfSigned,
  signedBy,
  startService,
} from '../harness.ts'

type Identity = { certificate: string; key: string }

/** One request over a connection of its own that shows this certificate. */
function callAs(
  service: Service,
  identity: Identity | null,
  method: string,
  path: string,
  more: { body?: object; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const shown = identity === null ? {} : { cert: identity.certificate, key: identity.key }
  const agent = new Agent({ ca: service.ca, ...shown, rejectUnauthorized: false })
  const text = more.body === undefined ? undefined : JSON.stringify(more.body)
  return new Promise<Answer>((resolve, reject) => {
    const typed = text === undefined ? {} : { 'content-type': 'application/json' }
    const outgoing = request(`${service.url}${path}`, {
      method,
      agent,
      headers: { ...typed, ...more.headers },
    })
    outgoing.on('error', reject)
    outgoing.on('response', async response => {
      let received = ''
      for await (const part of response.setEncoding('utf8')) received += part
      const headers = response.headers as Answer['headers']
      resolve({ status: response.statusCode ?? 0, headers, body: JSON.parse(received), text: received })
    })
    outgoing.end(text)
  }).finally(() => agent.destroy())
}

const add = (service: Service, certificate: string, more: object = {}) =>
  service.call('POST', '/v1/operators', { name: 'alice', role: 'operator', certificate, ...more })

test('an operator calls with a certificate in place of a token, as far as the role reaches, until revoked', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  assertProblem(await callAs(service, alice, 'GET', '/v1/whoami'), 401, 'operator_refused')
  const added = await add(service, alice.certificate)
  assert.equal(added.status, 201, added.text)
  const { fingerprint } = added.body
  assert.equal(
    fingerprint,
    new X509Certificate(alice.certificate).fingerprint256.replaceAll(':', '').toLowerCase(),
  )
  const identity = await callAs(service, alice, 'GET', '/v1/whoami')
  assert.deepEqual(
    [identity.body.kind, identity.body.id, identity.body.name, identity.body.role],
    ['certificate', fingerprint, 'alice', 'operator'],
  )
  assert.equal((await callAs(service, alice, 'POST', '/v1/devices', { body: { id: 'a' } })).status, 201)
  const { body: audit } = await service.call('GET', '/v1/audit?target=a')
  assert.equal(audit.items[0].actor, 'alice')
  assertProblem(await callAs(service, alice, 'GET', '/v1/operators'), 403, 'role_insufficient')

  const { body: listed } = await service.call('GET', '/v1/operators')
  assert.deepEqual([listed.items[0].state, listed.items[0].subject], ['accepted', 'CN=alice'])
  assert.equal((await service.call('POST', `/v1/operators/${fingerprint}/revoke`)).body.state, 'revoked')
  assertProblem(await callAs(service, alice, 'GET', '/v1/whoami'), 401, 'operator_refused')
  assertProblem(await add(service, alice.certificate, { name: 'again' }), 409, 'operator_exists')
})

test('revoking an operator reaches a connection that is open', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  const { fingerprint } = (await add(service, alice.certificate)).body
  const agent = new Agent({
    ca: service.ca,
    cert: alice.certificate,
    key: alice.key,
    keepAlive: true,
    maxSockets: 1,
  })
  const status = () =>
    new Promise<number>((resolve, reject) => {
      const outgoing = request(`${service.url}/v1/whoami`, { agent })
      outgoing.on('error', reject)
      outgoing.on('response', response =>
        response.resume().on('end', () => resolve(response.statusCode ?? 0)),
      )
      outgoing.end()
    })
  assert.equal(await status(), 200)
  await service.call('POST', `/v1/operators/${fingerprint}/revoke`)
  assert.equal(await status(), 401)
  agent.destroy()
})

test('the certificate of a device is no operator', async () => {
  await using service = await startService()
  const { csr, key } = makeCsr('p256')
  const { certificate, chain } = await service.enroll('pump-1', csr)
  const device = { certificate: certificate + chain.join(''), key }
  assert.equal((await callAs(service, device, 'GET', '/v1/self')).status, 200)
  assertProblem(await callAs(service, device, 'GET', '/v1/whoami'), 401, 'operator_refused')
  // Nor can it be made one: not it, not another certificate of its key, not a device pinned as somebody else issued it.
  assertProblem(await add(service, certificate), 409, 'certificate_issued_here')
  assertProblem(await add(service, reissued(service, key, 'mallory')), 409, 'public_key_taken')
  const pinned = selfSigned('pump-2')
  await service.call('POST', '/v1/devices', { id: 'pump-2' })
  const order = { certificate: pinned.certificate, trust: 'pinned' }
  assert.equal((await service.call('POST', '/v1/devices/pump-2/certificates', order)).status, 201)
  assertProblem(await add(service, pinned.certificate), 409, 'public_key_taken')
})

test("an operator's certificate is no device", async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  await add(service, alice.certificate)
  assertProblem(await callAs(service, alice, 'GET', '/v1/self'), 403, 'admission_refused')
  // Nor can it be made one: not pinned, not by a CSR of its key, and not by any verb that forgets to ask.
  await service.call('POST', '/v1/devices', { id: 'alice' })
  const pinned = { certificate: alice.certificate, trust: 'pinned' }
  assertProblem(await service.call('POST', '/v1/devices/alice/certificates', pinned), 409, 'public_key_taken')
  const csr = requestOf(service, alice.key)
  assertProblem(
    await service.call('POST', '/v1/devices/alice/certificates', { csr }),
    409,
    'public_key_taken',
  )
  const registry = openForWriting(join(service.directory, 'registry.db'))
  assert.throws(
    () =>
      registry.sqlite.exec(`INSERT INTO public_keys SELECT spki_hash, 'alice' FROM operator_certificates`),
    /operator's/,
  )
  await closeRegistry(registry)
})

test('a token that is sent is judged alone: no certificate helps a bad one, and both may not disagree unseen', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  await add(service, alice.certificate, { role: 'admin' })
  const bad = { authorization: `Bearer rc_${'x'.repeat(43)}` }
  assertProblem(await callAs(service, alice, 'GET', '/v1/whoami', { headers: bad }), 401, 'token_refused')
  assertProblem(
    await callAs(service, alice, 'GET', '/v1/whoami', { headers: { authorization: 'Basic eA==' } }),
    401,
    'token_missing',
  )
  const good = { authorization: `Bearer ${service.token}` }
  assert.equal(
    (await callAs(service, alice, 'GET', '/v1/whoami', { headers: good })).body.name,
    'admin.token',
  )
})

test('a certificate in a header is nobody', async () => {
  await using service = await startService()
  const alice = selfSigned('alice')
  const { fingerprint } = (await add(service, alice.certificate)).body
  const pem = encodeURIComponent(alice.certificate)
  for (const headers of [
    { 'x-client-cert': pem, 'x-forwarded-client-cert': `Hash=${fingerprint};Cert="${pem}"` },
    { 'client-cert': `:${new X509Certificate(alice.certificate).raw.toString('base64')}:` },
    { 'x-ssl-client-fingerprint': fingerprint, 'ssl-client-verify': 'SUCCESS', 'x-ssl-client-cert': pem },
  ] as Record<string, string>[]) {
    assertProblem(await callAs(service, null, 'GET', '/v1/whoami', { headers }), 401, 'token_missing')
  }
})

test('the right ends with what was asked for, and never after the certificate', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const [alice, bob] = [selfSigned('alice'), selfSigned('bob')]
  const short = (await add(service, alice.certificate, { days: 2 })).body
  const long = (await add(service, bob.certificate, { name: 'bob', days: 366 })).body
  assert.equal(Date.parse(short.expiresAt), now + 2 * 86_400_000)
  assert.equal(long.expiresAt, long.notAfter)
  for (const [identity, end] of [
    [alice, short.expiresAt],
    [bob, long.expiresAt],
  ] as const) {
    now = Date.parse(end) - 1
    assert.equal((await callAs(service, identity, 'GET', '/v1/whoami')).status, 200)
    now += 1
    assertProblem(await callAs(service, identity, 'GET', '/v1/whoami'), 401, 'operator_refused')
  }
})

test('what may not be an operator: a CA, a server, a weak key, one that ended, our own, two at once, a key', async t => {
  await using service = await startService()
  const ca = makeForeignCa()
  const rows: [string, string, RegExp][] = [
    ['a server', signedBy(ca, '/CN=www', 'extendedKeyUsage=serverAuth'), /clientAuth/],
    [
      'a weak key',
      signedBy(ca, '/CN=alice', 'extendedKeyUsage=clientAuth', ['-days', '30'], 'rsa1024'),
      /rsa1024/,
    ],
    ['a CA under another', signedBy(ca, '/CN=sub', 'basicConstraints=critical,CA:TRUE'), /CA must be FALSE/],
    ['two', selfSigned('a').certificate + selfSigned('b').certificate, /exactly one/],
    ['one with its key', Object.values(selfSigned('a')).join('\n'), /private key/],
    ['nothing', 'hello', /exactly one/],
    ['our root', service.ca, /digitalSignature/],
  ]
  for (const [name, certificate, fault] of rows) {
    await t.test(name, async () => {
      const answer = await add(service, certificate)
      assertProblem(answer, 400, 'certificate_invalid')
      assert.match(answer.body.detail, fault)
    })
  }
  assert.deepEqual((await service.call('GET', '/v1/operators')).body.items, [])
  assert.equal((await add(service, signedBy(ca, '/CN=alice'))).status, 201)
})

test('an operator bound to a group sees its devices alone, and an admin so bound its operators alone', async () => {
  await using service = await startService()
  for (const [id, groups] of [
    ['pump-1', ['pumps']],
    ['valve-1', []],
  ] as const) {
    await service.call('POST', '/v1/devices', { id, groups })
  }
  const [alice, bob, carol] = [selfSigned('alice'), selfSigned('bob'), selfSigned('carol')]
  await add(service, alice.certificate, { role: 'admin', group: 'pumps' })
  const { body } = await callAs(service, alice, 'GET', '/v1/devices')
  assert.deepEqual(
    body.items.map((item: { id: string }) => item.id),
    ['pump-1'],
  )
  const order = (identity: Identity, name: string, more = {}) => ({
    body: { name, role: 'viewer', certificate: identity.certificate, ...more },
  })
  assertProblem(
    await callAs(service, alice, 'POST', '/v1/operators', order(bob, 'bob', { group: 'valves' })),
    403,
    'delegation_exceeded',
  )
  assert.equal((await callAs(service, alice, 'POST', '/v1/operators', order(bob, 'bob'))).body.group, 'pumps')
  const other = (await add(service, carol.certificate, { name: 'carol' })).body.fingerprint
  const listed = (await callAs(service, alice, 'GET', '/v1/operators')).body.items
  assert.deepEqual(listed.map((item: { name: string }) => item.name).sort(), ['alice', 'bob'])
  assertProblem(
    await callAs(service, alice, 'POST', `/v1/operators/${other}/revoke`),
    404,
    'operator_unknown',
  )
})

/** Another certificate for a key somebody has already. */
function reissued(service: Service, key: string, name: string): string {
  const file = join(service.directory, 'other.key')
  writeFileSync(file, key)
  return execFileSync(
    'openssl',
    ['req', '-x509', '-new', '-key', file, '-days', '30', '-subj', `/CN=${name}`],
    {
      encoding: 'utf8',
    },
  )
}

function requestOf(service: Service, key: string): string {
  const file = join(service.directory, 'other.key')
  writeFileSync(file, key)
  return execFileSync('openssl', ['req', '-new', '-key', file, '-subj', '/CN=alice'], { encoding: 'utf8' })
}
