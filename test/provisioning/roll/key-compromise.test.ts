// A thief has copied the key of a device: what is revoked with it, what he may still obtain, and by which way he comes back.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { renewalOpensAt } from '../../../pki/renewal-window.ts'
import { ask, type Identity } from '../device-requests.ts'
import {
  assertProblem,
  makeCsr,
  openssl,
  type Service,
  startService,
  temporaryDirectory,
} from '../harness.ts'

type Enrolled = Identity & { fingerprint: string; csr: string; opensAt: number }

async function enrolled(service: Service, id: string, pair = makeCsr('p256')): Promise<Enrolled> {
  const issued = await service.enroll(id, pair.csr)
  const period = { notBefore: Date.parse(issued.notBefore), notAfter: Date.parse(issued.notAfter) }
  return { ...issued, ...pair, opensAt: renewalOpensAt(period) }
}

/** The first CONNECT, as a broker notes it. */
async function use(service: Service, deviceId: string, fingerprint: string, at: number): Promise<void> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).uses([{ fingerprint, deviceId, at }])
  await closeRegistry(registry)
}

const admits = async (service: Service, identity: Identity) =>
  (await ask(service, identity, 'GET', '/v1/self')).status === 200
const compromise = (service: Service, fingerprint: string) =>
  service.call('POST', `/v1/certificates/${fingerprint}/revoke`, { reason: 'keyCompromise' })
const renew = (service: Service, identity: Identity, csr: string, reason?: string) =>
  ask(service, identity, 'POST', '/v1/self/certificates', {
    csr,
    ...(reason === undefined ? {} : { reason }),
  })

/** A self-signed certificate for a key, as the holder of the key can make one. */
function selfSignedFor(key: string, name: string, extensions: readonly string[] = []): string {
  using folder = temporaryDirectory()
  const file = join(folder.path, 'key.pem')
  writeFileSync(file, key)
  const days = ['-days', '30', '-subj', `/CN=${name}`]
  return openssl(['req', '-x509', '-new', '-key', file, ...days, ...extensions])
}

/** A PKCS #10 request for a key in base64, as EST takes it. */
function requestFor(key: string, more: readonly string[]): string {
  using folder = temporaryDirectory()
  const [file, request] = [join(folder.path, 'key.pem'), join(folder.path, 'request.der')]
  writeFileSync(file, key)
  openssl(['req', '-new', '-key', file, '-outform', 'DER', '-out', request, ...more])
  return readFileSync(request).toString('base64')
}

test('revoking one certificate as keyCompromise revokes its key: every certificate of it, named in the receipt', async () => {
  await using service = await startService()
  const first = await enrolled(service, 'pump-1')
  const second = (await service.call('POST', '/v1/devices/pump-1/certificates', { csr: first.csr })).body
  const sameKey = { certificate: second.certificate, key: first.key }
  assert.deepEqual([await admits(service, first), await admits(service, sameKey)], [true, true])
  const { status, body } = await compromise(service, first.fingerprint)
  assert.equal(status, 200)
  assert.deepEqual([await admits(service, first), await admits(service, sameKey)], [false, false])
  assert.deepEqual(body.revoked, [
    { fingerprint: first.fingerprint, deviceId: 'pump-1', because: 'named' },
    { fingerprint: second.fingerprint, deviceId: 'pump-1', because: 'key' },
  ])
  assert.deepEqual(body.stillAdmitting, [])
  // One audit row each, by the same request; asked again, the same receipt.
  const rows = (await service.call('GET', '/v1/audit?action=certificate.revoke')).body.items
  assert.deepEqual(
    new Set(rows.map((row: { target: string }) => row.target)),
    new Set([first.fingerprint, second.fingerprint]),
  )
  const again = await compromise(service, first.fingerprint)
  assert.deepEqual([again.body.revoked, again.body.epoch], [body.revoked, body.epoch])
})

test('another reason revokes one certificate, and the receipt names what admits the device all the same', async () => {
  await using service = await startService()
  const first = await enrolled(service, 'pump-1')
  const second = (await service.call('POST', '/v1/devices/pump-1/certificates', { csr: first.csr })).body
  const answer = await service.call('POST', `/v1/certificates/${first.fingerprint}/revoke`, {
    reason: 'superseded',
  })
  assert.deepEqual(answer.body.revoked.length, 1)
  assert.deepEqual(
    answer.body.stillAdmitting.map((one: { fingerprint: string; status: string }) => [
      one.fingerprint,
      one.status,
    ]),
    [[second.fingerprint, 'issued']],
  )
})

test('what a thief obtained with the stolen key falls with it, over any number of renewals', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, now)
  now = device.opensAt
  const thief = makeCsr('p256')
  const stolen = { ...(await renew(service, device, thief.csr)).body, ...thief }
  await use(service, 'pump-1', stolen.fingerprint, now)
  now = renewalOpensAt({ notBefore: Date.parse(stolen.notBefore), notAfter: Date.parse(stolen.notAfter) })
  const next = makeCsr('ed25519')
  const grandchild = { ...(await renew(service, stolen, next.csr)).body, ...next }
  assert.equal(await admits(service, grandchild), true)
  // By then the certificate of the stolen key has long been retired.
  const { status, body, text } = await compromise(service, device.fingerprint)
  assert.equal(status, 200, text)
  assert.deepEqual(
    body.revoked.map((one: { fingerprint: string; because: string }) => [one.fingerprint, one.because]),
    [
      [device.fingerprint, 'named'],
      [stolen.fingerprint, 'lineage'],
      [grandchild.fingerprint, 'lineage'],
    ],
  )
  assert.deepEqual([await admits(service, stolen), await admits(service, grandchild)], [false, false])
})

test('a certificate that was revoked for less can still be said to be compromised, and takes along what its key obtained', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  now = device.opensAt
  const thief = makeCsr('p256')
  const stolen = { ...(await renew(service, device, thief.csr)).body, ...thief }
  await service.call('POST', `/v1/certificates/${device.fingerprint}/revoke`, { reason: 'superseded' })
  assert.equal(await admits(service, stolen), true)
  assert.equal((await compromise(service, device.fingerprint)).body.revoked.length, 2)
  assert.equal(await admits(service, stolen), false)
  const shown = await service.call('GET', `/v1/certificates/${device.fingerprint}`)
  assert.equal(shown.body.revocationReason, 'keyCompromise')
})

test('a device that claims compromise of itself gets what waits for an operator, and ends nobody by its own word', async () => {
  await using service = await startService()
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, Date.now())
  const thief = makeCsr('p256')
  const claimed = await renew(service, device, thief.csr, 'keyCompromise')
  assert.deepEqual([claimed.status, claimed.body.status], [202, 'pending'])
  assert.equal(claimed.headers['retry-after'], '60')
  assert.equal('certificate' in claimed.body, false, 'what waits is held back')
  const shown = (await service.call('GET', `/v1/certificates/${claimed.body.fingerprint}`)).body
  const held = { certificate: shown.certificate, key: thief.key }
  assert.deepEqual([await admits(service, device), await admits(service, held)], [true, false])
  const events = async () => (await service.call('GET', '/v1/events?kind=rekeyed_early')).body.items
  for (let look = 0; look < 100 && (await events()).length === 0; look += 1) {
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  assert.equal((await events())[0]?.fingerprint, claimed.body.fingerprint)
  // EST gives it no sooner.
  const names = ['-subj', '/CN=pump-1', '-addext', 'subjectAltName=URI:urn:rollcall:device:pump-1']
  const request = requestFor(thief.key, names)
  const type = { 'content-type': 'application/pkcs10' }
  const byEst = await ask(service, device, 'POST', '/.well-known/est/simplereenroll', request, type)
  assert.equal(byEst.status, 202, byEst.bytes.toString())
  // The operator believes the owner's call: the thief's certificate can never be approved any more.
  await compromise(service, device.fingerprint)
  assert.deepEqual([await admits(service, device), await admits(service, held)], [false, false])
  const approved = await service.call('POST', `/v1/certificates/${claimed.body.fingerprint}/approve`)
  assertProblem(approved, 409, 'certificate_status_forbids')
})

test('what an operator approved stands on his word: it is had with the same request, and outlives the stolen key', async () => {
  await using service = await startService()
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, Date.now())
  const { csr, key } = makeCsr('p256')
  const { fingerprint } = (await renew(service, device, csr, 'keyCompromise')).body
  assert.equal((await renew(service, device, csr, 'keyCompromise')).status, 202)
  assert.equal((await service.call('POST', `/v1/certificates/${fingerprint}/approve`)).status, 200)
  const had = await renew(service, device, csr, 'keyCompromise')
  assert.deepEqual([had.status, had.body.fingerprint], [201, fingerprint])
  const { body } = await compromise(service, device.fingerprint)
  assert.deepEqual(body.revoked.length, 1)
  assert.deepEqual(
    body.stillAdmitting.map((one: { fingerprint: string }) => one.fingerprint),
    [fingerprint],
  )
  assert.equal(await admits(service, { certificate: had.body.certificate, key }), true)
})

test('a rejected claim is refused for good, and claims that wait are few', async () => {
  await using service = await startService()
  const device = await enrolled(service, 'pump-1')
  const { csr } = makeCsr('p256')
  const { fingerprint } = (await renew(service, device, csr, 'keyCompromise')).body
  await service.call('POST', `/v1/certificates/${fingerprint}/reject`)
  const again = await renew(service, device, csr, 'keyCompromise')
  assert.deepEqual([again.status, again.body.reason], [403, 'enrollment_rejected'])
  for (let count = 0; count < 4; count += 1) {
    assert.equal((await renew(service, device, makeCsr('ed25519').csr, 'keyCompromise')).status, 202)
  }
  const fifth = await renew(service, device, makeCsr('ed25519').csr, 'keyCompromise')
  assert.deepEqual([fifth.status, fifth.body.reason], [409, 'certificates_exceeded'])
})

test('a renewal that is under way while its key is revoked comes to nothing, however the two meet', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  for (let round = 0; round < 12; round += 1) {
    const id = `pump-${round}`
    const device = await enrolled(service, id)
    now = Math.max(now, device.opensAt)
    const pairs = Array.from({ length: 3 }, () => makeCsr('ed25519'))
    const renewals = pairs.map(({ csr }) => renew(service, device, csr))
    const [, ...answers] = await Promise.all([compromise(service, device.fingerprint), ...renewals])
    const { items } = (await service.call('GET', `/v1/certificates?deviceId=${id}`)).body
    for (const one of items) assert.equal(one.status, 'revoked', `${id}: ${JSON.stringify(one)}`)
    for (const answer of answers) assert.ok([201, 403, 409].includes(answer.status), `${answer.status}`)
  }
})

test('a compromised key comes back by no way in', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const pair = makeCsr('p256')
  const device = await enrolled(service, 'pump-1', pair)
  await enrolled(service, 'pump-2')
  await compromise(service, device.fingerprint)
  const { csr, key } = pair
  const call = async (method: string, path: string, body: object) => {
    const answer = await service.call(method, path, body)
    return [answer.status, answer.body.reason]
  }
  const compromised = [409, 'public_key_compromised']
  const own = '/v1/devices/pump-1/certificates'
  assert.deepEqual(await call('POST', own, { csr }), compromised, 'certify')
  const pinned = { certificate: selfSignedFor(key, 'pump-1'), trust: 'pinned' }
  assert.deepEqual(await call('POST', own, pinned), compromised, 'register')
  const other = '/v1/devices/pump-2/certificates'
  assert.deepEqual(await call('POST', other, { csr }), [409, 'public_key_taken'], 'another device')
  const operator = { name: 'eve', role: 'viewer', certificate: selfSignedFor(key, 'eve') }
  assert.deepEqual(await call('POST', '/v1/operators', operator), compromised, 'operator')
  const claim = { name: 'batch', quota: 1, csr }
  assert.deepEqual(await call('POST', '/v1/claims', claim), compromised, 'claim')
  const authority = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=keyCertSign,cRLSign',
  ]
  const anchor = { certificate: selfSignedFor(key, 'Evil CA', authority) }
  assert.deepEqual(await call('POST', '/v1/issuers', anchor), compromised, 'anchor')
  const token = (await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'pump-1' })).body.token
  const byToken = await ask(
    service,
    null,
    'POST',
    '/v1/enroll',
    { csr },
    { authorization: `Bearer ${token}` },
  )
  assert.deepEqual([byToken.status, byToken.body.reason], compromised, 'token')
  const grouped = (await service.call('POST', '/v1/enrollment-tokens', { group: 'x' })).body.token
  const byGroup = await ask(
    service,
    null,
    'POST',
    '/v1/enroll',
    { csr, deviceId: 'pump-3' },
    { authorization: `Bearer ${grouped}` },
  )
  assert.deepEqual([byGroup.status, byGroup.body.reason], [409, 'public_key_taken'], 'token of a group')
  // Another device renews with it, and an import lists it.
  const neighbour = await enrolled(service, 'pump-4')
  now = neighbour.opensAt
  const renewed = await renew(service, neighbour, csr)
  assert.deepEqual([renewed.status, renewed.body.reason], [409, 'public_key_taken'], 'renewal')
  const row = { deviceId: 'pump-1', csr }
  const job = await service.call('POST', '/v1/jobs', undefined, {
    raw: `${JSON.stringify(row)}\n`,
    headers: { 'content-type': 'application/x-ndjson' },
  })
  assert.equal(job.status, 202, job.text)
  let results = ''
  for (let look = 0; look < 200 && results === ''; look += 1) {
    await new Promise(resolve => setTimeout(resolve, 20))
    results = (await service.call('GET', `/v1/jobs/${job.body.id}/results`)).text
  }
  assert.match(results, /public_key_compromised/)
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=pump-1')).body
  assert.deepEqual(
    items.map((one: { status: string }) => one.status),
    ['revoked'],
  )
})
