// What ACME refuses, each with the error type that says why: bindings, nonces, keys, addresses, other accounts' resources, hostile requests.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { ask } from '../device-requests.ts'
import { makeCsr, startService } from '../harness.ts'
import {
  assertRefused,
  bindingFor,
  bindingOf,
  createAcmeClient,
  jwkOf,
  newKey,
  signed,
} from './acme-client.ts'

test('a binding holds for its own key, token and address, once', async () => {
  await using service = await startService()
  const url = `${service.url}/acme/new-account`
  const binding = await bindingFor(service, { group: 'g' })
  const tried = async (externalAccountBinding: unknown) => {
    const client = await createAcmeClient(service)
    return client.post('/acme/new-account', { externalAccountBinding })
  }
  const client = await createAcmeClient(service)
  const jwk = jwkOf(client.key)
  const own = (value: unknown) => client.post('/acme/new-account', { externalAccountBinding: value })
  assertRefused(await client.register(null), 403, 'externalAccountRequired', /missing/)
  assertRefused(
    await client.register(null, { onlyReturnExisting: true }),
    400,
    'accountDoesNotExist',
    /no account/,
  )
  const other = { ...binding, hmacKey: Buffer.alloc(32).toString('base64url') }
  assertRefused(await own(bindingOf(other, url, jwk)), 403, 'unauthorized', /signature/)
  const unknown = { ...binding, kid: '00000000-0000-4000-8000-000000000000' }
  assertRefused(await own(bindingOf(unknown, url, jwk)), 403, 'unauthorized', /kid/)
  assertRefused(await own(bindingOf(binding, `${url}x`, jwk)), 403, 'unauthorized', /url/)
  assertRefused(await own(bindingOf(binding, url, jwkOf(newKey()))), 403, 'unauthorized', /another key/)
  assertRefused(await own(bindingOf(binding, url, jwk, { nonce: 'x' })), 400, 'malformed', /nonce/)
  for (const alg of ['none', 'ES256', 'HS1'])
    assertRefused(await own(bindingOf(binding, url, jwk, { alg })), 400, 'badSignatureAlgorithm', /alg/)
  assertRefused(
    await own({ protected: 'e30', payload: '', signature: '', header: {} }),
    400,
    'malformed',
    /JWS/,
  )
  for (const value of [null, 1, 'x', []]) assertRefused(await own(value), 400, 'malformed', /./)
  // A MAC that another key's owner saw is worth nothing to anybody else.
  assertRefused(await tried(bindingOf(binding, url, jwk)), 403, 'unauthorized', /another key/)

  assert.equal((await client.register(binding)).status, 201)
  const second = await createAcmeClient(service)
  assertRefused(await second.register(binding), 409, 'unauthorized', /bound another account/)
  const revoked = await bindingFor(service, { group: 'g' })
  await service.call('POST', `/v1/enrollment-tokens/${revoked.kid}/revoke`)
  assertRefused(await second.register(revoked), 401, 'unauthorized', /revoked/)
  // What is shown for CMP is nothing here.
  const { body } = await service.call('POST', '/v1/enrollment-tokens', { group: 'g', cmp: true })
  const { reference: kid, secret: hmacKey } = body.cmp
  assertRefused(await second.register({ kid, hmacKey }), 403, 'unauthorized', /signature/)
})

test('a request counts once, at its address, under the key that it names', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const client = await createAcmeClient(service)
  await client.register(await bindingFor(service, { group: 'g' }))
  const url = `${service.url}/acme/new-order`
  const payload = { identifiers: [{ type: 'dns', value: 'x' }] }
  const header = { kid: client.account(), url, nonce: await client.nonce() }
  const raw = await signed(client.key, header, payload)
  assert.equal((await client.post('/acme/new-order', null, { raw })).status, 201)
  assertRefused(await client.post('/acme/new-order', null, { raw }), 400, 'badNonce', /used before/)
  const order = (twist: object) => client.post('/acme/new-order', payload, twist)
  for (const nonce of ['', 'x', 'A'.repeat(30), 7])
    assertRefused(await order({ header: { nonce } }), 400, nonce === 7 ? 'malformed' : 'badNonce', /nonce/)
  assertRefused(await order({ header: { nonce: undefined } }), 400, 'malformed', /nonce is missing/)
  assertRefused(
    await order({ header: { url: `${service.url}/acme/key-change` } }),
    403,
    'unauthorized',
    /url/,
  )
  assertRefused(
    await order({ header: { url: 'https://other.example/acme/new-order' } }),
    403,
    'unauthorized',
    /url/,
  )
  assertRefused(await order({ signedBy: newKey() }), 403, 'unauthorized', /signature/)
  assertRefused(await order({ header: { jwk: jwkOf(client.key) } }), 400, 'malformed', /one of jwk and kid/)
  assertRefused(await order({ header: { kid: undefined } }), 400, 'malformed', /one of jwk and kid/)
  assertRefused(
    await order({ header: { kid: undefined, jwk: jwkOf(client.key) } }),
    400,
    'malformed',
    /by kid/,
  )
  for (const kid of ['x', 7, `${service.url}/acme/account/x`, client.account().replace('account', 'order')])
    assertRefused(await order({ header: { kid } }), 400, 'accountDoesNotExist', /kid/)
  const whole = await signed(client.key, { ...header, nonce: await client.nonce() }, payload)
  const unsigned = (alg: string) => ({
    ...whole,
    protected: Buffer.from(JSON.stringify({ alg, ...header })).toString('base64url'),
  })
  for (const alg of ['none', 'HS256', 'RS1', 'dir']) {
    const refused = await client.post('/acme/new-order', null, { raw: unsigned(alg) })
    assertRefused(refused, 400, 'badSignatureAlgorithm', /alg/)
    assert.ok(refused.body.algorithms.includes('ES256'))
  }
  for (const more of [{ crit: ['b64'], b64: false }, { b64: true }]) {
    const protectedHeader = Buffer.from(JSON.stringify({ alg: 'ES256', ...header, ...more })).toString(
      'base64url',
    )
    const refused = await client.post('/acme/new-order', null, {
      raw: { ...whole, protected: protectedHeader },
    })
    assertRefused(refused, 400, 'malformed', /crit and b64/)
  }
  for (const raw of [{ ...whole, header: {} }, { ...whole, signatures: [] }, { payload: '' }, '[]', 'x', ''])
    assertRefused(await client.post('/acme/new-order', null, { raw }), 400, 'malformed', /body/)
  assertRefused(await client.post('/acme/new-order', '[1]'), 400, 'malformed', /no JSON object/)
  assertRefused(await client.post('/acme/new-order', '{"a":'), 400, 'malformed', /no JSON object/)
  assertRefused(await order({ type: 'application/json' }), 415, 'malformed', /jose\+json/)
  const long = { protected: 'A', payload: 'A'.repeat(70_000), signature: 'A' }
  assertRefused(await client.post('/acme/new-order', null, { raw: long }), 413, 'malformed', /longer/)
})

test('account keys are judged as keys of devices are, and nothing of a secret is taken', async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const tried = async (jwk: object) => {
    const client = await createAcmeClient(service)
    return client.post('/acme/new-account', {}, { header: { jwk } })
  }
  const jwk = jwkOf(newKey())
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey.export({ format: 'jwk' })
  const rsa1024 = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const privateJwk = newKey().privateKey.export({ format: 'jwk' })
  const cases: [object, RegExp][] = [
    [p521, /P-521/],
    [rsa1024, /1024|rsa/i],
    [privateJwk, /private key/],
    [{ kty: 'oct', k: 'AAAA' }, /private key or a secret/],
    [{ kty: 'constructor' }, /kty/],
    [{ ...jwk, y: jwk.x }, /cannot be read|can be read/],
    [{ ...jwk, x: 7 }, /lacks/],
    [{ kty: 'RSA', n: 'A'.repeat(20_000), e: 'AQAB' }, /./],
  ]
  for (const [given, why] of cases) assertRefused(await tried(given), 400, 'badPublicKey', why)

  const { csr, key } = makeCsr('p256')
  await service.enroll('pump-1', csr)
  const { createPrivateKey, createPublicKey } = await import('node:crypto')
  const pair = { privateKey: createPrivateKey(key), publicKey: createPublicKey(key) }
  const device = await createAcmeClient(service, pair)
  assertRefused(
    await device.register(await bindingFor(service, { group: 'g' })),
    400,
    'badPublicKey',
    /that of a device/,
  )
})

test("another account's orders, certificates and address open nothing, and orders ask for what they may", async () => {
  await using service = await startService({ failuresPerMinuteMax: 1_000 })
  const [mine, other] = [await createAcmeClient(service), await createAcmeClient(service)]
  for (const client of [mine, other]) await client.register(await bindingFor(service, { group: 'g' }))
  const { order, finalized } = await other.certificate('gateway-1')
  const open = await other.order('gateway-2')
  for (const url of [
    order.headers.location,
    open.headers.location,
    open.body.finalize,
    open.body.authorizations[0],
  ])
    assertRefused(
      await mine.post(mine.pathOf(String(url)), { csr: 'AAAA' }),
      400,
      'malformed',
      /no such order of this account/,
    )
  assertRefused(
    await mine.post(mine.pathOf(finalized.body.certificate), null),
    403,
    'unauthorized',
    /no such certificate/,
  )
  assertRefused(
    await mine.post(mine.pathOf(other.account()), { status: 'deactivated' }),
    403,
    'unauthorized',
    /another account/,
  )
  assertRefused(
    await mine.post(`${mine.pathOf(other.account())}/orders`, null),
    403,
    'unauthorized',
    /another account/,
  )
  assertRefused(await other.finalize(order, makeCsr('p256').csr), 403, 'orderNotReady', /valid/)

  const asked = (identifiers: unknown, more: object = {}) =>
    mine.post('/acme/new-order', { identifiers, ...more })
  for (const identifiers of [
    undefined,
    [],
    'x',
    Array(21).fill({ type: 'dns', value: 'x' }),
    [null],
    [{ type: 'dns' }],
  ])
    assertRefused(await asked(identifiers), 400, 'malformed', /identifiers/)
  for (const [type, value] of [
    ['ip', '127.0.0.1'],
    ['dns', '*.example.com'],
    ['dns', 'a/b'],
    ['dns', ''],
    ['dns', 'x'.repeat(254)],
  ])
    assertRefused(await asked([{ type, value }]), 400, 'rejectedIdentifier', /identifiers/)
  assertRefused(
    await asked([{ type: 'dns', value: 'x' }], { notAfter: '2030-01-01T00:00:00Z' }),
    400,
    'malformed',
    /notAfter/,
  )

  const two = await asked([
    { type: 'dns', value: 'a' },
    { type: 'dns', value: 'b' },
  ])
  assertRefused(await mine.finalize(two, makeCsr('p256').csr), 400, 'malformed', /name the device/)
  const taken = await mine.order('gateway-1')
  const refused = await mine.finalize(taken, makeCsr('p256').csr)
  assertRefused(refused, 409, 'unauthorized', /gateway-1/)
  assert.equal((await mine.post(mine.pathOf(String(taken.headers.location)), null)).body.status, 'invalid')
  const named = await mine.order('toString')
  assertRefused(await mine.finalize(named, makeCsr('p256').csr), 400, 'malformed', /device ID/)
})

test('the key of an account is that of no certificate, and suspension ends what an account may do', async () => {
  await using service = await startService()
  const { csr, key } = makeCsr('p256')
  const { createPrivateKey, createPublicKey } = await import('node:crypto')
  const pair = { privateKey: createPrivateKey(key), publicKey: createPublicKey(key) }
  const client = await createAcmeClient(service, pair)
  await client.register(await bindingFor(service, { group: 'g' }))
  assertRefused(
    await client.finalize(await client.order('gateway-1'), csr),
    400,
    'badCSR',
    /key of an account/,
  )
  await client.certificate('gateway-1')
  await service.call('POST', '/v1/devices/gateway-1/suspend')
  assertRefused(await client.order('gateway-1'), 403, 'unauthorized', /suspended/i)
})

test('failures count against their address', async () => {
  await using service = await startService({ failuresPerMinuteMax: 3 })
  const statuses = []
  for (let tries = 0; tries < 5; tries += 1) {
    const client = await createAcmeClient(service)
    const { status, headers } = await client.post(
      '/acme/new-order',
      {},
      { header: { jwk: undefined, kid: 'x' } },
    )
    statuses.push(status)
    if (status === 429) assert.ok(Number(headers['retry-after']) > 0)
  }
  assert.deepEqual(statuses, [400, 400, 400, 429, 429])
  const { body } = await ask(service, null, 'GET', '/acme/renewal-info/AAAA.AAAA')
  assert.equal(body.type, 'urn:ietf:params:acme:error:malformed')
})
