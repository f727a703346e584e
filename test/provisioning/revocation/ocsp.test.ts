// OCSP as a relying party meets it: openssl and gnutls ask, by GET and POST, and agree with the record.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { until } from '../../cli/running.ts'
import { makeCsr, openssl, type Service, startService } from '../harness.ts'
import { type Issued, pointersOf, relyingParty, run } from './status.ts'

const DAY_MS = 86_400_000

/** `openssl ocsp` on an issued certificate, verifying the answer down from the root. */
async function ask(service: Service, issued: Issued, ...more: string[]): Promise<string> {
  using party = relyingParty(service)
  const { output } = await run('openssl', [
    ...['ocsp', '-issuer', party.file('issuing.pem', issued.chain[0] ?? '')],
    ...more.filter(flag => flag.startsWith('-sha')),
    ...['-cert', party.file('leaf.pem', issued.certificate)],
    ...['-url', pointersOf(issued.certificate).ocsp, '-CAfile', party.file('ca.pem', service.ca)],
    ...more.filter(flag => !flag.startsWith('-sha')),
  ])
  return output
}

/** A request as openssl writes it. */
function requestFor(
  issued: Issued,
  flags: readonly string[] = ['-no_nonce'],
  serials: string[] = [],
): Buffer {
  using party = relyingParty({ ca: '' } as Service)
  const file = party.file('request.der', '')
  openssl([
    ...['ocsp', '-issuer', party.file('issuing.pem', issued.chain[0] ?? ''), ...flags],
    ...(serials.length === 0 ? ['-cert', party.file('leaf.pem', issued.certificate)] : []),
    ...serials.flatMap(serial => ['-serial', serial]),
    ...['-reqout', file],
  ])
  return readFileSync(file)
}

function post(service: Service, body: Buffer, type = 'application/ocsp-request'): Promise<Response> {
  const headers = { 'content-type': type }
  return fetch(`${service.running.statusUrl}/ocsp`, { method: 'POST', headers, body: new Uint8Array(body) })
}

/** OCSPResponseStatus of an answer that is not signed. */
async function errorOf(answer: Response): Promise<number> {
  const der = Buffer.from(await answer.arrayBuffer())
  assert.equal(der.subarray(0, 4).toString('hex'), '30030a01', 'an error and nothing else')
  return der[4] ?? -1
}
const MALFORMED = 1
const UNAUTHORIZED = 6

test('openssl and gnutls are told good, revoked with its reason, hold, and good again, each at once', async () => {
  await using service = await startService()
  const issued = await service.enroll('pump-1')
  const move = (path: string, body?: unknown) => service.call('POST', path, body)
  for (const flags of [[], ['-no_nonce'], ['-sha256'], ['-sha256', '-no_nonce']]) {
    const output = await ask(service, issued, ...flags)
    assert.match(output, /Response verify OK/)
    assert.match(output, /leaf\.pem: good/)
    assert.doesNotMatch(output, /WARNING: no nonce/)
  }
  await move('/v1/devices/pump-1/suspend')
  assert.match(await ask(service, issued, '-no_nonce'), /revoked[\s\S]*certificateHold/)
  await move('/v1/devices/pump-1/activate')
  assert.match(await ask(service, issued, '-no_nonce'), /leaf\.pem: good/)
  await move(`/v1/certificates/${issued.fingerprint}/revoke`, { reason: 'keyCompromise' })
  assert.match(await ask(service, issued, '-no_nonce'), /revoked[\s\S]*keyCompromise[\s\S]*Revocation Time/)
  using party = relyingParty(service)
  const gnutls = await run('ocsptool', [
    ...[`--ask=${pointersOf(issued.certificate).ocsp}`],
    ...['--load-issuer', party.file('issuing.pem', issued.chain[0] ?? '')],
    ...['--load-cert', party.file('leaf.pem', issued.certificate)],
    ...['--load-trust', party.file('trust.pem', issued.chain[0] ?? '')],
  ])
  assert.match(gnutls.output, /Certificate Status: revoked/)
  assert.match(gnutls.output, /Verifying OCSP Response: Success/)
})

test('what was never issued is unknown, the server’s own certificate is good, other issuers are no business of ours', async () => {
  await using service = await startService()
  const issued = await service.enroll('pump-1')
  const output = async (serial: string, issuer = issued.chain[0] ?? '') => {
    using party = relyingParty(service)
    const url = pointersOf(issued.certificate).ocsp
    const file = party.file('issuer.pem', issuer)
    return (
      await run('openssl', [
        ...['ocsp', '-issuer', file, '-serial', serial, '-url', url],
        ...['-CAfile', party.file('ca.pem', service.ca)],
      ])
    ).output
  }
  assert.match(await output('0x1234'), /0x1234: unknown/)
  const server = openssl(['x509', '-noout', '-serial', '-in', `${service.directory}/server.crt`])
  assert.match(await output(`0x${server.trim().split('=')[1]}`), /: good/)
  assert.match(await output('0x1234', service.ca), /unauthorized \(6\)/)
})

test('GET is answered with what caches need, from what is signed already, until the record says otherwise', async () => {
  await using service = await startService()
  const issued = await service.enroll('pump-1')
  const encoded = requestFor(issued).toString('base64')
  const get = (path: string, headers = {}) => fetch(`${service.running.statusUrl}/ocsp/${path}`, { headers })
  const first = await get(encodeURIComponent(encoded))
  assert.equal(first.headers.get('content-type'), 'application/ocsp-response')
  assert.match(first.headers.get('cache-control') ?? '', /^max-age=300, public/)
  const etag = first.headers.get('etag') ?? ''
  assert.equal((await get(encoded)).headers.get('etag'), etag, 'slashes need no encoding')
  assert.equal((await get(encoded, { 'if-none-match': etag })).status, 304)
  const posted = await post(service, requestFor(issued))
  assert.deepEqual(Buffer.from(await posted.arrayBuffer()), Buffer.from(await first.arrayBuffer()))
  assert.equal(posted.headers.get('cache-control'), 'no-store')
  await service.call('POST', `/v1/certificates/${issued.fingerprint}/revoke`, {})
  assert.notEqual((await get(encoded)).headers.get('etag'), etag)
  assert.equal((await get(encoded, { 'if-none-match': etag })).status, 200)
  const withNonce = await get(encodeURIComponent(requestFor(issued, []).toString('base64')))
  assert.equal(withNonce.headers.get('cache-control'), 'no-store')
})

test('the answer is renewed at half of its life, and the responder at half of its own', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const issued = await service.enroll('pump-1')
  const request = requestFor(issued)
  const answered = async () => Buffer.from(await (await post(service, request)).arrayBuffer()).toString('hex')
  const responder = () => {
    const id = pointersOf(issued.certificate).crl.match(/\/([0-9a-f]{16})\.crl/)?.[1]
    return readFileSync(`${service.directory}/ocsp-${id}.crt`, 'utf8')
  }
  const [answer, certificate] = [await answered(), responder()]
  now += 29 * 60_000 - 1_000
  assert.equal(await answered(), answer)
  now += 2_000
  assert.notEqual(await answered(), answer)
  now += 6 * DAY_MS
  await service.running.keepResponders()
  assert.equal(responder(), certificate)
  now += DAY_MS
  await service.running.keepResponders()
  assert.notEqual(responder(), certificate)
  assert.doesNotMatch(openssl(['x509', '-noout', '-text'], responder()), /CRL Distribution|OCSP - URI/)
})

test('requests that nobody means are refused in OCSP’s own words, and cost nothing', async () => {
  await using service = await startService()
  const issued = await service.enroll('pump-1')
  const good = requestFor(issued)
  const [first = 0] = good
  const bent: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello')],
    ['cut short', good.subarray(0, -3)],
    ['bytes behind it', Buffer.concat([good, Buffer.of(0)])],
    ['another tag', Buffer.concat([Buffer.of(first + 1), good.subarray(1)])],
    ['a length of 4 GB', Buffer.from('3084ffffffff', 'hex')],
    ['1,000 levels', Buffer.from(`${'3080'.repeat(1_000)}`, 'hex')],
    [
      '17 certificates',
      requestFor(
        issued,
        ['-no_nonce'],
        Array.from({ length: 17 }, (_, at) => `${at + 1}`),
      ),
    ],
    ['8 KiB', Buffer.concat([good, Buffer.alloc(8_192)])],
  ]
  for (const [name, body] of bent) assert.equal(await errorOf(await post(service, body)), MALFORMED, name)
  const many = requestFor(
    issued,
    ['-no_nonce'],
    Array.from({ length: 2_000 }, (_, at) => `${at + 1}`),
  )
  assert.equal((await post(service, many)).status, 413)
  const swapped = Buffer.from(good)
  swapped[40] = (swapped[40] ?? 0) ^ 0xff
  assert.equal(await errorOf(await post(service, swapped)), UNAUTHORIZED, 'the hash of another issuer')
  assert.equal((await post(service, good, 'application/json')).status, 415)
  const { statusUrl } = service.running
  for (const path of ['%zz', '!!!!', '', encodeURIComponent('a b')])
    assert.equal(await errorOf(await fetch(`${statusUrl}/ocsp/${path}`)), MALFORMED, path)
  assert.equal((await fetch(`${statusUrl}/ocsp`)).status, 405)
  const sixteen = requestFor(
    issued,
    ['-no_nonce'],
    Array.from({ length: 16 }, (_, at) => `${at + 1}`),
  )
  assert.ok((await (await post(service, sixteen)).arrayBuffer()).byteLength > 1_000)
  assert.match(await ask(service, issued), /leaf\.pem: good/)
})

test('a certificate that waited and that nobody decided about is good nowhere', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now, lifecycleJobMs: 50 })
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const { token } = (
    await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'pump-1', approval: true })
  ).body
  const { csr } = makeCsr('p256')
  const headers = { authorization: `Bearer ${token}` }
  const { body } = await service.call('POST', '/v1/enroll', { csr }, { token: null, headers })
  const issued = (await service.call('GET', `/v1/certificates/${body.fingerprint}`)).body as Issued
  assert.match(await ask(service, issued, '-no_nonce'), /revoked[\s\S]*certificateHold/)
  now += 7 * DAY_MS
  const status = async () => (await service.call('GET', `/v1/certificates/${body.fingerprint}`)).body.status
  await until(async () => (await status()) !== 'pending', 'its time is over')
  assert.equal(await status(), 'lapsed')
  const answer = await ask(service, issued, '-no_nonce', '-validity_period', String(30 * 86_400))
  assert.match(answer, /revoked[\s\S]*cessationOfOperation/)
})
