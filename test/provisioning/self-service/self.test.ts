// Devices that call for themselves over mutual TLS: which ones are let in, when a renewal is given, and in which form.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { pemBlocks } from '../../../pki/pem.ts'
import { renewalOpensAt } from '../../../pki/renewal-window.ts'
import { ask, type Identity } from '../device-requests.ts'
import { makeCsr, type Service, selfSigned, startService } from '../harness.ts'

async function enrolled(service: Service, id: string) {
  const { csr, key } = makeCsr('p256')
  const issued = await service.enroll(id, csr)
  const period = { notBefore: Date.parse(issued.notBefore), notAfter: Date.parse(issued.notAfter) }
  return { ...issued, key, csr, opensAt: renewalOpensAt(period), end: period.notAfter } as Identity & {
    fingerprint: string
    csr: string
    opensAt: number
    end: number
  }
}

async function use(service: Service, deviceId: string, fingerprint: string, at: number): Promise<void> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).uses([{ fingerprint, deviceId, at }])
  await closeRegistry(registry)
}

test('a device sees how it stands; nobody else is let in, whatever token they hold', async () => {
  await using service = await startService()
  const device = await enrolled(service, 'pump-1')
  const { status, body } = await ask(service, device, 'GET', '/v1/self')
  assert.equal(status, 200)
  assert.deepEqual([body.deviceId, body.certificate.fingerprint], ['pump-1', device.fingerprint])
  assert.deepEqual([body.renewal.open, Date.parse(body.renewal.opensAt)], [false, device.opensAt])

  const bearer = { authorization: `Bearer ${service.token}` }
  for (const headers of [{}, bearer, { 'x-client-cert': encodeURIComponent(device.certificate) }]) {
    const none = await ask(service, null, 'GET', '/v1/self', undefined, headers)
    assert.deepEqual([none.status, none.body.reason], [401, 'certificate_required'])
  }
  const stranger = selfSigned('pump-1')
  const refused = await ask(service, stranger, 'POST', '/v1/self/certificates', { csr: makeCsr('p256').csr })
  assert.deepEqual([refused.status, refused.body.reason], [403, 'admission_refused'])
  assert.equal(refused.body.errors[0].message, 'certificate_self_signed')
  // The certificate of a device opens nothing that asks for a token.
  assert.equal((await ask(service, device, 'GET', '/v1/devices')).body.reason, 'operator_refused')
})

test('every request is judged anew: a suspended, a revoked and an expired device renew nothing', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  const renew = () => ask(service, device, 'POST', '/v1/self/certificates', { csr: makeCsr('p256').csr })
  now = device.end - 1_000
  await service.call('POST', '/v1/devices/pump-1/suspend')
  assert.equal((await renew()).body.errors[0].message, 'device_suspended')
  await service.call('POST', '/v1/devices/pump-1/activate')
  assert.equal((await ask(service, device, 'GET', '/v1/self')).status, 200)
  now = device.end + 1
  assert.equal((await renew()).body.errors[0].message, 'certificate_expired')
  now = device.end - 1_000
  await service.call('POST', `/v1/certificates/${device.fingerprint}/revoke`, {})
  assert.equal((await renew()).body.errors[0].message, 'certificate_revoked')
  assert.equal((await service.call('GET', '/v1/certificates?deviceId=pump-1')).body.items.length, 1)
})

test('renewal opens at two thirds of its life; the same key again gives the same certificate', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, now)
  const { csr, key } = makeCsr('p256')
  const renew = (request = csr) => ask(service, device, 'POST', '/v1/self/certificates', { csr: request })
  now = device.opensAt - 1
  const early = await renew()
  assert.deepEqual([early.status, early.body.reason], [409, 'renewal_too_early'])
  assert.equal(early.headers['retry-after'], '1')
  now = device.opensAt
  const renewed = await renew()
  assert.equal(renewed.status, 201, renewed.bytes.toString())
  assert.equal(renewed.body.deviceId, 'pump-1')
  assert.equal((await renew()).body.fingerprint, renewed.body.fingerprint, 'a lost answer costs nothing')
  const third = await renew(makeCsr('p256').csr)
  assert.deepEqual([third.status, third.body.reason], [409, 'certificates_exceeded'])
  assert.match(third.body.detail, new RegExp(renewed.body.fingerprint))
  assert.equal((await ask(service, { ...renewed.body, key }, 'GET', '/v1/self')).status, 200)
  await use(service, 'pump-1', renewed.body.fingerprint, now)
  const old = await ask(service, device, 'GET', '/v1/self')
  assert.deepEqual([old.status, old.body.certificate.status], [200, 'superseded'])
})

test('a renewal whose key was lost holds its place for an hour, not for a week', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, now)
  now = device.opensAt
  const renew = () => ask(service, device, 'POST', '/v1/self/certificates', { csr: makeCsr('p256').csr })
  const lost = (await renew()).body.fingerprint
  now += 3_600_000 - 1
  assert.deepEqual((await renew()).body.reason, 'certificates_exceeded')
  now += 1
  const next = await renew()
  assert.equal(next.status, 201, next.bytes.toString())
  const shown = await service.call('GET', `/v1/certificates/${lost}`)
  assert.equal(shown.body.status, 'lapsed')
  // One that is in use is nobody's to replace.
  await use(service, 'pump-1', next.body.fingerprint, now)
  now += 3_600_000
  assert.deepEqual((await renew()).body.reason, 'certificates_exceeded')
})

test('a compromised key is replaced by another key alone, on the word of an operator, and leaves no grace then', async () => {
  await using service = await startService()
  const device = await enrolled(service, 'pump-1')
  const rekey = (csr: string) =>
    ask(service, device, 'POST', '/v1/self/certificates', { csr, reason: 'keyCompromise' })
  await use(service, 'pump-1', device.fingerprint, Date.now())
  const same = await rekey(device.csr)
  assert.deepEqual([same.status, same.body.reason], [409, 'public_key_compromised'])
  const { csr } = makeCsr('p256')
  const { fingerprint } = (await rekey(csr)).body
  assert.equal((await ask(service, device, 'GET', '/v1/self')).status, 200, 'nobody is out by a claim')
  await service.call('POST', `/v1/certificates/${fingerprint}/approve`)
  const { body, status } = await rekey(csr)
  assert.equal(status, 201)
  await use(service, 'pump-1', body.fingerprint, Date.now())
  const cut = await ask(service, device, 'GET', '/v1/self')
  assert.deepEqual([cut.status, cut.body.errors[0].message], [403, 'certificate_superseded'])
})

test('a microcontroller sends a bare request and takes a bare certificate', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  now = device.opensAt
  const { csr } = makeCsr('p256')
  const der = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!
  const send = (body: Buffer, accept?: string) =>
    ask(service, device, 'POST', '/v1/self/certificates', body, {
      'content-type': 'application/pkcs10',
      ...(accept === undefined ? {} : { accept }),
    })
  const bare = await send(der, 'application/pkix-cert')
  assert.deepEqual([bare.status, bare.type], [201, 'application/pkix-cert'])
  const leaf = new X509Certificate(bare.bytes)
  assert.equal(leaf.subject, 'CN=pump-1')
  const chain = await send(Buffer.from(csr))
  assert.equal(chain.type, 'application/pem-certificate-chain')
  const [first, issuing] = pemBlocks(chain.bytes.toString(), 'CERTIFICATE')
  assert.deepEqual(first, leaf.raw)
  assert.ok(leaf.checkIssued(new X509Certificate(issuing!)))
  for (const bad of [Buffer.alloc(0), Buffer.from('garbage'), der.subarray(0, -3)]) {
    assert.equal((await send(bad)).status, 400)
  }
  assert.equal((await send(Buffer.alloc(70_000))).status, 413)
})

test('many renewals at once give one certificate more, never two', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const device = await enrolled(service, 'pump-1')
  await use(service, 'pump-1', device.fingerprint, now)
  now = device.opensAt
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => makeCsr('p256').csr).map(csr =>
      ask(service, device, 'POST', '/v1/self/certificates', { csr }),
    ),
  )
  assert.equal(answers.filter(answer => answer.status === 201).length, 1)
  assert.equal(answers.filter(answer => answer.body.reason === 'certificates_exceeded').length, 7)
})
