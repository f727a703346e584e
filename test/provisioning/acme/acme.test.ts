// ACME by a client of the test: accounts bound by tokens and claims, orders that are ready at once, renewal in its window, and revocation.
import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { certificateIdOf } from '../../../provisioning/acme/renewal-info.ts'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { ask } from '../device-requests.ts'
import { makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { assertRefused, bindingFor, createAcmeClient, jwkOf, newKey, signed } from './acme-client.ts'

const certificateOf = (chain: string) => new X509Certificate(chain)

async function onRoll(service: Service, deviceId: string) {
  return (await service.call('GET', `/v1/certificates?deviceId=${deviceId}`)).body.items
}

test('the directory names every resource, and nonces come by HEAD and GET', async () => {
  await using service = await startService()
  const { body, headers } = await ask(service, null, 'GET', '/acme/directory')
  assert.deepEqual(body, {
    newNonce: `${service.url}/acme/new-nonce`,
    newAccount: `${service.url}/acme/new-account`,
    newOrder: `${service.url}/acme/new-order`,
    revokeCert: `${service.url}/acme/revoke-cert`,
    keyChange: `${service.url}/acme/key-change`,
    renewalInfo: `${service.url}/acme/renewal-info`,
    meta: { externalAccountRequired: true },
  })
  assert.equal(headers['replay-nonce'], undefined)
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
  ] as const) {
    const answer = await ask(service, null, method, '/acme/new-nonce')
    assert.equal(answer.status, status)
    assert.match(String(answer.headers['replay-nonce']), /^[\w-]{30}$/)
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal(answer.headers.link, `<${service.url}/acme/directory>;rel="index"`)
  }
})

test('a token binds an account, whose order is ready and gets the certificate of its device', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'gateway-1' })
  const binding = await bindingFor(service, { deviceId: 'gateway-1' })
  const client = await createAcmeClient(service)
  const made = await client.register(binding, { contact: ['mailto:x@example.com'] })
  assert.deepEqual([made.status, made.body.status], [201, 'valid'], made.bytes.toString())
  assert.equal(made.body.orders, `${client.account()}/orders`)

  const order = await client.order('some.other.name')
  assert.deepEqual([order.status, order.body.status], [201, 'ready'], order.bytes.toString())
  assert.equal(order.headers.location, order.body.finalize.replace(/\/finalize$/, ''))
  assert.equal(
    (await client.post(client.pathOf(made.body.orders), null)).body.orders[0],
    order.headers.location,
  )
  const authorization = await client.post(client.pathOf(order.body.authorizations[0]), null)
  assert.deepEqual(
    { ...authorization.body, expires: null },
    { status: 'valid', expires: null, identifier: { type: 'dns', value: 'some.other.name' }, challenges: [] },
  )
  const { csr, key } = makeCsr('p256')
  const finalized = await client.finalize(order, csr)
  assert.equal(finalized.body.status, 'valid', finalized.bytes.toString())
  const { bytes, type } = await client.post(client.pathOf(finalized.body.certificate), null)
  assert.equal(type, 'application/pem-certificate-chain')
  const certificate = certificateOf(bytes.toString())
  assert.equal(certificate.subject, 'CN=gateway-1', 'the name is that of the token')
  assert.ok(certificate.publicKey.equals(createPublicKey(key)))
  assert.equal(bytes.toString().match(/BEGIN CERTIFICATE/g)?.length, 2, 'the issuing CA is with it')

  const again = await client.post(
    '/acme/new-account',
    { onlyReturnExisting: true },
    { header: { kid: undefined, jwk: jwkOf(client.key) } },
  )
  assert.deepEqual([again.status, again.headers.location], [200, client.account()])
  const rows = (await service.call('GET', '/v1/audit?limit=500')).body.items
  const told = rows.map(({ action, actor }: { action: string; actor: string }) => `${action} ${actor}`)
  const actor = `enrollment-token:${binding.kid}`
  for (const action of [
    'acme-account.create',
    'enrollment-token.use',
    'certificate.intend',
    'certificate.issue',
  ])
    assert.ok(told.includes(`${action} ${actor}`), `${action}\n${told.join('\n')}`)
})

test('after a lost answer the same key gets the same certificate, and another one is not due yet', async () => {
  await using service = await startService()
  const client = await createAcmeClient(service)
  await client.register(await bindingFor(service, { group: 'gateways' }))
  const request = makeCsr('p256')
  const first = await client.certificate('gateway-7', request)
  assert.equal(
    certificateOf(first.chain).subject,
    'CN=gateway-7',
    'a token for a group leaves the name to the order',
  )
  const second = await client.certificate('gateway-7', request)
  assert.equal(second.chain, first.chain)
  const order = await client.order('gateway-7')
  assertRefused(await client.finalize(order, makeCsr('p256').csr), 409, 'rateLimited', /can be renewed from/)
  assert.equal((await onRoll(service, 'gateway-7')).length, 1)
})

test('a claim binds as many accounts as it may enroll, each of which names its device', async () => {
  await using service = await startService()
  const claim = { name: 'batch', csr: makeCsr('p256').csr, quota: 2, group: 'gateways', acme: true }
  const headers = { 'idempotency-key': 'one' }
  const made = await service.call('POST', '/v1/claims', claim, { headers })
  assert.equal(made.status, 201, made.text)
  const replayed = await service.call('POST', '/v1/claims', claim, { headers })
  assert.deepEqual(replayed.body.acme, made.body.acme, 'a lost answer can be asked for')
  for (const name of ['gateway-1', 'gateway-2']) {
    const client = await createAcmeClient(service)
    assert.equal((await client.register(made.body.acme)).status, 201)
    const { chain } = await client.certificate(name)
    assert.equal(certificateOf(chain).subject, `CN=${name}`)
    const [listed] = await onRoll(service, name)
    assert.equal(listed.status, 'issued')
  }
  const third = await createAcmeClient(service)
  assertRefused(await third.register(made.body.acme), 409, 'unauthorized', /bound 2 accounts/)
})

test('renewal: the window is told, the account renews within it, and a certificate that is revoked ends that', async () => {
  let offset = -70 * DAY_MS
  await using service = await startService({ now: () => Date.now() + offset })
  const client = await createAcmeClient(service)
  await client.register(await bindingFor(service, { group: 'gateways' }))
  const first = await client.certificate('gateway-1')
  const id = certificateIdOf(certificateOf(first.chain).raw)
  const info = await ask(service, null, 'GET', `/acme/renewal-info/${id}`)
  assert.equal(info.headers['retry-after'], '21600')
  const { start, end } = info.body.suggestedWindow
  const { notBefore, notAfter } = (await onRoll(service, 'gateway-1'))[0]
  const life = Date.parse(notAfter) - Date.parse(notBefore)
  assert.ok(Math.abs(Date.parse(start) - Date.parse(notBefore) - (life * 2) / 3) < 2_000)
  assert.ok(Math.abs(Date.parse(end) - Date.parse(notBefore) - life * 0.9) < 2_000)
  assertRefused(await client.order('gateway-1', { replaces: 'AAAA.AAAA' }), 400, 'malformed', /replaces/)

  offset = 0
  const order = await client.order('another.name', { replaces: id })
  assert.equal(order.body.replaces, id, order.bytes.toString())
  assertRefused(await client.order('x', { replaces: id }), 409, 'alreadyReplaced', /another order/)
  const renewed = await client.finalize(order, makeCsr('p256').csr)
  assert.equal(renewed.body.status, 'valid', renewed.bytes.toString())
  const { bytes } = await client.post(client.pathOf(renewed.body.certificate), null)
  const second = certificateOf(bytes.toString())
  assert.equal(second.subject, 'CN=gateway-1', 'a renewal changes no name')
  const rows = (await service.call('GET', '/v1/audit?action=certificate.issue')).body.items
  assert.deepEqual(rows.map(({ actor }: { actor: string }) => actor.split(':')[0]).toSorted(), [
    'device',
    'enrollment-token',
  ])

  const der = second.raw.toString('base64url')
  assertRefused(
    await client.post('/acme/revoke-cert', { certificate: der, reason: 1 }),
    400,
    'badRevocationReason',
    /reason 1/,
  )
  const revoked = await client.post('/acme/revoke-cert', { certificate: der, reason: 4 })
  assert.equal(revoked.status, 200, revoked.bytes.toString())
  assertRefused(
    await client.post('/acme/revoke-cert', { certificate: der }),
    400,
    'alreadyRevoked',
    /revoked/,
  )
  assertRefused(await client.order('gateway-1'), 403, 'unauthorized', /revoked/i)
  const over = await ask(service, null, 'GET', `/acme/renewal-info/${certificateIdOf(second.raw)}`)
  assert.ok(Date.parse(over.body.suggestedWindow.end) < Date.now(), 'renew now')
})

test('the key of a certificate revokes it, and no other', async () => {
  await using service = await startService()
  const clients = []
  for (const id of ['gateway-1', 'gateway-2']) {
    const client = await createAcmeClient(service)
    await client.register(await bindingFor(service, { group: 'g' }))
    clients.push({ client, ...(await client.certificate(id)) })
  }
  const [one, two] = clients
  const privateKey = (await import('node:crypto')).createPrivateKey(one!.key)
  const pair = { privateKey, publicKey: createPublicKey(one!.key) }
  const byKey = { header: { kid: undefined, jwk: jwkOf(pair) }, signedBy: pair }
  const ask = (chain: string, twist = {}) =>
    one!.client.post(
      '/acme/revoke-cert',
      { certificate: certificateOf(chain).raw.toString('base64url') },
      twist,
    )
  assertRefused(await ask(two!.chain, byKey), 403, 'unauthorized', /no certificate of this account or key/)
  assertRefused(await ask(two!.chain), 403, 'unauthorized', /no certificate of this account or key/)
  assert.equal((await ask(one!.chain, byKey)).status, 200)
  assert.equal((await onRoll(service, 'gateway-1'))[0].status, 'revoked')
  assert.equal((await onRoll(service, 'gateway-2'))[0].status, 'issued')
})

test('an order that needs approval is processing until an operator decides', async () => {
  await using service = await startService()
  for (const [id, decision, status] of [
    ['gateway-1', 'approve', 'valid'],
    ['gateway-2', 'reject', 'invalid'],
  ] as const) {
    await service.call('POST', '/v1/devices', { id })
    const client = await createAcmeClient(service)
    await client.register(await bindingFor(service, { deviceId: id, approval: true }))
    const order = await client.order()
    const path = client.pathOf(String(order.headers.location))
    const finalized = await client.finalize(order, makeCsr('p256').csr)
    assert.deepEqual([finalized.body.status, finalized.headers['retry-after']], ['processing', '60'])
    assert.equal((await client.post(path, null)).body.status, 'processing')
    const [waiting] = await onRoll(service, id)
    await service.call('POST', `/v1/certificates/${waiting.fingerprint}/${decision}`)
    const decided = await client.post(path, null)
    assert.equal(decided.body.status, status, decided.bytes.toString())
    if (status === 'invalid') assert.equal(decided.body.error.reason, 'enrollment_rejected')
    else
      assert.match(
        (await client.post(client.pathOf(decided.body.certificate), null)).bytes.toString(),
        /BEGIN/,
      )
  }
})

test('an account takes another key, is deactivated, and outlives a restart', async () => {
  using folder = temporaryDirectory()
  const first = await startService({ data: folder.path })
  const client = await createAcmeClient(first)
  await client.register(await bindingFor(first, { group: 'g' }))
  const { chain } = await client.certificate('gateway-1')
  const next = newKey()
  const url = `${first.url}/acme/key-change`
  const inner = await signed(
    next,
    { jwk: jwkOf(next), url },
    { account: client.account(), oldKey: jwkOf(client.key) },
  )
  const wrong = await signed(
    next,
    { jwk: jwkOf(next), url },
    { account: client.account(), oldKey: jwkOf(next) },
  )
  assertRefused(await client.post('/acme/key-change', wrong), 400, 'malformed', /oldKey/)
  const changed = await client.post('/acme/key-change', inner)
  assert.equal(changed.status, 200, changed.bytes.toString())
  assertRefused(await client.order(), 403, 'unauthorized', /signature/)
  const { pathname } = new URL(client.account())
  await first[Symbol.asyncDispose]()

  await using second = await startService({ data: first.directory })
  const later = await createAcmeClient(second, next)
  later.use(second.url + pathname)
  const read = await later.post(pathname, null)
  assert.equal(read.body.status, 'valid', read.bytes.toString())
  const fingerprint = certificateOf(chain).fingerprint256.replaceAll(':', '').toLowerCase()
  const fetched = await later.post(`/acme/certificate/${fingerprint}`, null)
  assert.equal(fetched.bytes.toString(), chain)
  const ended = await later.post(pathname, { status: 'deactivated' })
  assert.deepEqual([ended.status, ended.body.status], [200, 'deactivated'])
  assertRefused(await later.order(), 403, 'unauthorized', /deactivated/)
  const rows = (await second.call('GET', '/v1/audit?limit=500')).body.items
  const told = rows
    .map(({ action }: { action: string }) => action)
    .filter((action: string) => action.startsWith('acme'))
  assert.deepEqual(told.toSorted(), ['acme-account.create', 'acme-account.deactivate', 'acme-account.key'])
})
