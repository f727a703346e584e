// EST as RFC 7030 and RFC 8951 have it: what is served to which callers, in which form, and what is refused.
import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { pemBlocks } from '../../../pki/pem.ts'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { makeCsr, openssl, type Service, selfSigned, startService, temporaryDirectory } from '../harness.ts'

const EST = '/.well-known/est'
const derOf = (csr: string) => pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!
const base64Of = (csr: string) => derOf(csr).toString('base64')
const basic = (user: string, token: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`,
})

async function tokenFor(service: Service, order: object): Promise<string> {
  return (await service.call('POST', '/v1/enrollment-tokens', order)).body.token
}

function post(
  service: Service,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
  identity: Identity | null = null,
): Promise<Answer> {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body)
  return ask(service, identity, 'POST', `${EST}${path}`, bytes, {
    'content-type': 'application/pkcs10',
    ...headers,
  })
}

/** The certificates of an answer, as openssl reads them. */
function certificatesOf(answer: Answer): X509Certificate[] {
  assert.equal(answer.type, 'application/pkcs7-mime; smime-type=certs-only')
  assert.match(answer.bytes.toString(), /^[A-Za-z0-9+/]+={0,2}$/)
  assert.equal(answer.headers['content-transfer-encoding'], undefined)
  using folder = temporaryDirectory()
  const file = join(folder.path, 'p7')
  // encapContentInfo { id-data } and no eContent (RFC 5652 §5.2), behind version 1 and no digest algorithms.
  const der = Buffer.from(answer.bytes.toString(), 'base64')
  assert.ok(der.includes(Buffer.from('0201013100300b06092a864886f70d010701a0', 'hex')))
  writeFileSync(file, Buffer.from(answer.bytes.toString(), 'base64'))
  const printed = openssl(['pkcs7', '-inform', 'DER', '-in', file, '-print_certs'])
  return pemBlocks(printed, 'CERTIFICATE').map(der => new X509Certificate(der))
}

/** As a client of EST makes one for renewing: the names of the certificate it has. */
function csrNamed(deviceId: string, san = `URI:urn:rollcall:device:${deviceId}`) {
  return makeCsr('p256', ['-subj', `/CN=${deviceId}`, '-addext', `subjectAltName=${san}`])
}

const reason = (answer: Answer) => [answer.status, answer.body?.reason]

test('everybody gets the CA certificates and what a request should hold, with and without label', async () => {
  await using service = await startService()
  for (const label of ['', '/pumps']) {
    const cas = certificatesOf(await ask(service, null, 'GET', `${EST}${label}/cacerts`))
    assert.deepEqual(
      cas.map(ca => ca.subject),
      ['CN=Rollcall issuing CA', 'CN=Rollcall root CA'],
    )
    assert.equal(cas[1]!.fingerprint256, new X509Certificate(service.ca).fingerprint256)
    const attributes = await ask(service, null, 'GET', `${EST}${label}/csrattrs`)
    assert.deepEqual([attributes.status, attributes.type], [200, 'application/csrattrs'])
    using folder = temporaryDirectory()
    writeFileSync(join(folder.path, 'der'), Buffer.from(attributes.bytes.toString(), 'base64'))
    const shown = openssl(['asn1parse', '-inform', 'DER', '-in', join(folder.path, 'der')])
    assert.match(shown, /id-ecPublicKey[\s\S]*prime256v1[\s\S]*ecdsa-with-SHA256/)
  }
  const answer = await ask(service, null, 'GET', `${EST}/__proto__/cacerts`)
  assert.deepEqual(reason(answer), [400, 'request_invalid'])
  const head = Object.entries(answer.headers).join('\r\n').length
  assert.ok(head < 700, `a client with a small buffer reads the head of an answer: ${head} bytes`)
})

test('a device enrolls by HTTP Basic, however its request is written down', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const token = await tokenFor(service, { deviceId: 'pump-1' })
  const { csr, key } = makeCsr('p256')
  const lines = base64Of(csr).replace(/.{64}/g, '$&\r\n')
  const transferEncoding = { 'content-transfer-encoding': 'quoted-printable' }
  const charset = { 'content-type': 'application/pkcs10; charset=us-ascii' }
  const written: [string | Buffer, Record<string, string>][] = [
    [base64Of(csr), {}],
    [lines, transferEncoding],
    [`${lines}\r\n`, charset],
    [derOf(csr), {}],
    [csr, {}],
  ]
  const seen = new Set<string>()
  for (const [body, headers] of written) {
    const answer = await post(service, '/simpleenroll', body, { ...basic('pump-1', token), ...headers })
    assert.equal(answer.status, 200, answer.bytes.toString())
    const [leaf, ...more] = certificatesOf(answer)
    assert.equal(more.length, 0)
    assert.equal(leaf!.subject, 'CN=pump-1')
    assert.ok(leaf!.publicKey.equals(createPublicKey(key)))
    seen.add(leaf!.fingerprint256)
  }
  assert.equal(seen.size, 1)
})

test('a request without a credential, with a wrong one or one for another device is refused', async () => {
  await using service = await startService()
  for (const id of ['pump-1', 'pump-2']) await service.call('POST', '/v1/devices', { id })
  const token = await tokenFor(service, { deviceId: 'pump-1' })
  const body = base64Of(makeCsr('p256').csr)
  const { certificate } = await service.enroll('pump-2')
  assert.ok(certificate)
  const cases: [Record<string, string>, number, string][] = [
    [{}, 401, 'enrollment_credential_missing'],
    [{ authorization: `Bearer ${token}` }, 401, 'enrollment_token_refused'],
    [{ authorization: `Basic ${Buffer.from(token).toString('base64')}` }, 401, 'enrollment_token_refused'],
    [basic('pump-1', service.token), 401, 'enrollment_token_refused'],
    [basic('pump-1', `${token}:`), 401, 'enrollment_token_refused'],
    [basic('pump-2', token), 403, 'device_id_refused'],
    [basic('pump-1\0', token), 403, 'device_id_refused'],
  ]
  for (const [headers, ...expected] of cases) {
    const answer = await post(service, '/simpleenroll', body, headers)
    assert.deepEqual(reason(answer), expected)
    if (answer.status === 401) assert.match(String(answer.headers['www-authenticate']), /^Basic realm=/)
  }
  const own = selfSigned('pump-1')
  const stranger = await post(service, '/simpleenroll', body, {}, own)
  assert.deepEqual(reason(stranger), [401, 'enrollment_credential_missing'])
  assert.equal((await post(service, '/simpleenroll', body, basic('', token))).status, 200)
})

test('threat 22: nothing but a request that can be read is taken, in no media type that is odd', async () => {
  await using service = await startService()
  const der = derOf(makeCsr('p256').csr)
  const types = ['application/json', 'text/plain', 'application/pkcs10a', 'application/x-pkcs10', '']
  const first = await tokenFor(service, { group: 'g' })
  for (const type of types) {
    const answer = await post(service, '/simpleenroll', JSON.stringify({ csr: 'x' }), {
      ...basic('a', first),
      'content-type': type,
    })
    assert.ok(answer.status === 415 || answer.status === 400, `${type} ${answer.status}`)
  }
  const bad: [string | Buffer, number][] = [
    ['', 400],
    ['no base64 at all!', 400],
    ['AAAA', 400],
    [der.subarray(0, -1).toString('base64'), 400],
    [Buffer.concat([der, Buffer.from([0])]).toString('base64'), 400],
    [Buffer.concat([Buffer.from([0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), der]), 400],
    [Buffer.from(`30${'80'.repeat(4000)}`, 'hex'), 400],
    ['M'.repeat(60_000), 400],
    ['M'.repeat(70_000), 413],
    ['-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----', 400],
    [`${makeCsr('p256').csr}${makeCsr('p256').csr}`, 400],
    [base64Of(makeCsr('rsa1024').csr), 400],
  ]
  for (const [body, status] of bad) {
    const token = await tokenFor(service, { group: 'g' })
    const answer = await post(service, '/simpleenroll', body, basic('pump-1', token))
    assert.equal(answer.status, status, `${body.toString('latin1').slice(0, 40)} ${answer.bytes}`)
    assert.match(answer.type, /problem\+json/)
  }
  // JSON routes still take JSON alone.
  const { status } = await service.call('POST', '/v1/devices', undefined, {
    raw: der.toString('base64'),
    headers: { 'content-type': 'application/pkcs10' },
  })
  assert.equal(status, 415)
  assert.equal((await service.call('GET', '/v1/devices')).body.items.length, 0)
})

test('a label must be the group of what was shown; it never chooses one', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'valve-1', groups: ['valves', 'north'] })
  const body = base64Of(makeCsr('p256').csr)
  const pumps = await tokenFor(service, { group: 'pumps' })
  for (const label of ['backend', 'north', 'Pumps']) {
    const answer = await post(service, `/${label}/simpleenroll`, body, basic('pump-1', pumps))
    assert.deepEqual(reason(answer), [403, 'est_label_refused'])
  }
  assert.equal((await post(service, '/pumps/simpleenroll', body, basic('pump-1', pumps))).status, 200)
  assert.deepEqual((await service.call('GET', '/v1/devices/pump-1')).body.groups, ['pumps'])
  const valve = await tokenFor(service, { deviceId: 'valve-1' })
  const other = base64Of(makeCsr('p256').csr)
  assert.equal((await post(service, '/pumps/simpleenroll', other, basic('valve-1', valve))).status, 403)
  assert.equal((await post(service, '/north/simpleenroll', other, basic('valve-1', valve))).status, 200)
})

test('while an operator has not decided the answer is 202, then the certificate or a refusal', async () => {
  await using service = await startService()
  const token = await tokenFor(service, { group: 'g', approval: true })
  const send = () => post(service, '/simpleenroll', body, basic('pump-1', token))
  const body = base64Of(makeCsr('p256').csr)
  for (let time = 0; time < 2; time += 1) {
    const waits = await send()
    assert.deepEqual([waits.status, waits.headers['retry-after']], [202, '60'])
    assert.equal(waits.bytes.includes('MII'), false)
  }
  const { items } = (await service.call('GET', '/v1/certificates?status=pending')).body
  assert.equal(items.length, 1)
  await service.call('POST', `/v1/certificates/${items[0].fingerprint}/approve`)
  const [leaf] = certificatesOf(await send())
  assert.equal(leaf!.fingerprint256.replaceAll(':', '').toLowerCase(), items[0].fingerprint)
})

test('re-enrolling takes the current certificate and its very names, and may change the key', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { csr, key } = makeCsr('p256')
  const issued = await service.enroll('pump-1', csr)
  await service.call('PATCH', '/v1/devices/pump-1', { groups: ['pumps'] })
  const device = { certificate: issued.certificate, key }
  const next = csrNamed('pump-1')
  const reenroll = (request = next.csr, path = '/simplereenroll', identity: Identity | null = device) =>
    post(service, path, base64Of(request), {}, identity)
  assert.deepEqual(reason(await reenroll()), [409, 'renewal_too_early'])
  now += 61 * DAY_MS
  const renamed: [string, string][] = [
    ['/CN=pump-2', 'URI:urn:rollcall:device:pump-1'],
    ['/CN=pump-1', 'URI:urn:rollcall:device:pump-2'],
    ['/CN=pump-1', 'URI:urn:rollcall:device:pump-1,DNS:pump-1'],
    ['/CN=pump-1/CN=pump-1', 'URI:urn:rollcall:device:pump-1'],
    ['/O=x/CN=pump-1', 'URI:urn:rollcall:device:pump-1'],
  ]
  for (const [subject, san] of renamed) {
    const { csr: asked } = makeCsr('p256', ['-subj', subject, '-addext', `subjectAltName=${san}`])
    assert.deepEqual(reason(await reenroll(asked)), [400, 'csr_names_changed'], subject + san)
  }
  const unnamed = await reenroll(makeCsr('p256', ['-subj', '/CN=pump-1']).csr)
  assert.deepEqual(
    unnamed.body.errors.map((error: { path: string }) => error.path),
    ['csr.subjectAltName'],
  )
  assert.deepEqual(reason(await reenroll(next.csr, '/simplereenroll', null)), [401, 'certificate_required'])
  assert.deepEqual(reason(await reenroll(next.csr, '/simplereenroll', selfSigned('pump-1'))), [
    403,
    'admission_refused',
  ])
  assert.deepEqual(reason(await reenroll(next.csr, '/valves/simplereenroll')), [403, 'est_label_refused'])
  const [leaf] = certificatesOf(await reenroll(next.csr, '/pumps/simplereenroll'))
  assert.ok(leaf!.publicKey.equals(createPublicKey(next.key)))
  const [again] = certificatesOf(await reenroll())
  assert.equal(again!.fingerprint256, leaf!.fingerprint256, 'a lost answer costs nothing')
  await service.call('POST', '/v1/devices/pump-1/suspend')
  assert.deepEqual(reason(await reenroll()), [403, 'admission_refused'])
})

for (const days of [0, 30]) {
  test(`${days} days after its end a certificate renews nothing any more, and until then by EST alone`, async () => {
    let now = Date.now()
    await using service = await startService({ now: () => now, renewExpiredDays: days })
    const { csr, key } = makeCsr('p256')
    const issued = await service.enroll('pump-1', csr)
    const device = { certificate: issued.certificate, key }
    const end = Date.parse(issued.notAfter)
    const reenroll = () => post(service, '/simplereenroll', base64Of(next), {}, device)
    const next = csrNamed('pump-1').csr
    const refusedFor = async (why: string) => {
      const answer = await reenroll()
      assert.deepEqual([answer.status, answer.body.errors[0].message], [403, why])
    }
    now = end + days * DAY_MS + 1
    await refusedFor('certificate_expired')
    now -= 1
    await service.call('POST', '/v1/devices/pump-1/suspend')
    await refusedFor('device_suspended')
    await service.call('POST', '/v1/devices/pump-1/activate')
    if (days > 0) {
      const other = await ask(service, device, 'POST', '/v1/self/certificates', { csr: next })
      assert.equal(other.body.errors[0].message, 'certificate_expired')
    }
    const [leaf] = certificatesOf(await reenroll())
    assert.ok(Date.parse(leaf!.validTo) > now)
    await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`)
    await refusedFor('certificate_revoked')
  })
}
