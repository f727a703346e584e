// EST and clients that have ways of their own: answers in the form that each reads, and refusals in the words of EST.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { pemBlocks } from '../../../pki/pem.ts'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { makeCsr, openssl, type Service, startService } from '../harness.ts'

const EST = '/.well-known/est'
const base64Of = (csr: string) => pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!.toString('base64')
const basic = (user: string, token: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`,
})
const tokenFor = async (service: Service, order: object): Promise<string> =>
  (await service.call('POST', '/v1/enrollment-tokens', order)).body.token

function post(
  service: Service,
  path: string,
  body: string,
  headers: Record<string, string> = {},
  identity: Identity | null = null,
): Promise<Answer> {
  return ask(service, identity, 'POST', `${EST}${path}`, Buffer.from(body), {
    'content-type': 'application/pkcs10',
    ...headers,
  })
}

/** The first certificate of an answer in one line, as openssl reads it. */
function leafOf({ bytes }: Answer): X509Certificate {
  const text = bytes.toString()
  assert.match(text, /^[A-Za-z0-9+/]+={0,2}$/)
  const pem = `-----BEGIN PKCS7-----\n${text.replace(/.{64}/g, '$&\n')}\n-----END PKCS7-----\n`
  return new X509Certificate(openssl(['pkcs7', '-print_certs'], pem))
}

test('a wrong media type is answered with the one that EST has', async () => {
  await using service = await startService()
  const token = await tokenFor(service, { group: 'g' })
  const answer = await post(service, '/simpleenroll', base64Of(makeCsr('p256').csr), {
    ...basic('a', token),
    'content-type': 'text/plain',
  })
  assert.deepEqual([answer.status, answer.body.reason], [415, 'media_type_unsupported'])
  assert.equal(answer.body.detail, 'this route takes application/pkcs10')
  const json = await service.call('POST', '/v1/devices', undefined, {
    raw: 'id=a',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })
  assert.match(json.text, /this route takes application\/json"/)
})

test('libest gets base64 in lines and header names by the letter, every other client neither', async () => {
  await using service = await startService()
  const token = await tokenFor(service, { group: 'g' })
  const request = base64Of(makeCsr('p256').csr)
  const asked = (userAgent: string) =>
    post(service, '/simpleenroll', request, { ...basic('pump-1', token), 'user-agent': userAgent })
  for (const userAgent of ['libest client 1.0', 'libest 3.2.0', 'Cisco EST client 2.0 with BRSKI']) {
    const answer = await asked(userAgent)
    const text = answer.bytes.toString()
    assert.match(text, /^([A-Za-z0-9+/=]{1,64}\n)+$/)
    // As libest does, openssl reads lines alone unless it is told otherwise.
    const der = execFileSync('openssl', ['base64', '-d'], { input: text })
    assert.deepEqual(der, Buffer.from(text, 'base64'))
    const names = answer.rawHeaders.filter((_, index) => index % 2 === 0)
    assert.ok(names.includes('Content-Type') && names.includes('Content-Length'), names.join())
    const refused = await post(service, '/simpleenroll', request, { 'user-agent': userAgent })
    assert.equal(refused.status, 401)
    assert.ok(refused.rawHeaders.includes('WWW-Authenticate'))
    assert.match(refused.type, /problem\+json/)
    const cas = await ask(service, null, 'GET', `${EST}/cacerts`, undefined, { 'user-agent': userAgent })
    assert.match(cas.bytes.toString(), /^([A-Za-z0-9+/=]{1,64}\n)+$/)
  }
  leafOf(await asked('curl/8'))
  leafOf(await asked('my libest client'))
})

test('a renewal with the old key goes on while one with a new key waits for an operator', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const named = ['-subj', '/CN=pump-1', '-addext', 'subjectAltName=URI:urn:rollcall:device:pump-1']
  const held = makeCsr('p256', named)
  const issued = await service.enroll('pump-1', held.csr)
  const device = { certificate: issued.certificate, key: held.key }
  now += 61 * DAY_MS
  const order = { csr: makeCsr('p256', named).csr, reason: 'keyCompromise' }
  assert.equal((await ask(service, device, 'POST', '/v1/self/certificates', order)).status, 202)
  const leaf = leafOf(await post(service, '/simplereenroll', base64Of(held.csr), {}, device))
  assert.ok(leaf.publicKey.equals(createPublicKey(held.key)))
})
