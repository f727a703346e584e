// Claim certificates: what one enrolls, how many and how long, and that it opens nothing else.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { pemBlocks } from '../../../pki/pem.ts'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { makeCsr, openssl, type Service, startService, temporaryDirectory } from '../harness.ts'

const HOUR_MS = 60 * 60_000
type Held = Identity & { id: string; csr: string; fingerprint: string }

async function claim(service: Service, terms: object = {}): Promise<Held> {
  const { csr, key } = makeCsr('p256')
  const order = { name: 'batch-1', quota: 3, csr, ...terms }
  const { status, body, text } = await service.call('POST', '/v1/claims', order)
  assert.equal(status, 201, text)
  return { id: body.id, fingerprint: body.fingerprint, certificate: body.certificate, key, csr }
}

const enroll = (service: Service, held: Identity, deviceId: string | undefined, csr = makeCsr('p256').csr) =>
  ask(service, held, 'POST', '/v1/enroll', deviceId === undefined ? { csr } : { csr, deviceId })

const reason = ({ status, body }: Answer) => [status, body?.reason]

async function use(service: Service, deviceId: string, fingerprint: string, at: number): Promise<void> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).uses([{ fingerprint, deviceId, at }])
  await closeRegistry(registry)
}

test('a claim enrolls new devices of its group, up to its quota, also when they come at once', async () => {
  await using service = await startService()
  const held = await claim(service, { group: 'pumps' })
  const text = openssl(['x509', '-noout', '-text'], held.certificate)
  assert.match(text, /Subject: CN = claim:batch-1\n/)
  assert.match(text, /URI:urn:rollcall:claim:batch-1\n/)
  assert.match(text, /CA:FALSE/)
  assert.match(text, /CRL Distribution[\s\S]*OCSP - URI/)
  const ids = Array.from({ length: 8 }, (_, index) => `pump-${index}`)
  const answers = await Promise.all(ids.map(id => enroll(service, held, id)))
  assert.equal(answers.filter(answer => answer.status === 201).length, 3)
  assert.equal(answers.filter(answer => answer.body.reason === 'claim_exceeded').length, 5)
  const { items } = (await service.call('GET', '/v1/devices?group=pumps')).body
  assert.equal(items.length, 3)
  const shown = await service.call('GET', `/v1/claims/${held.id}`)
  assert.deepEqual([shown.body.claimed, shown.body.status], [3, 'open'])
  const [first] = answers.filter(answer => answer.status === 201)
  const { items: rows } = (await service.call('GET', `/v1/audit?target=${first!.body.fingerprint}`)).body
  assert.equal(rows[0].actor, `claim:${held.id}`)
})

test('it enrolls what its list names, and never a device that is on record', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-9' })
  const held = await claim(service, { quota: 100, allow: ['SN-1', 'pump-9'] })
  assert.deepEqual(reason(await enroll(service, held, 'SN-2')), [403, 'claim_device_forbidden'])
  assert.deepEqual(reason(await enroll(service, held, 'pump-9')), [409, 'device_exists'])
  assert.deepEqual(reason(await enroll(service, held, undefined)), [400, 'device_id_missing'])
  assert.equal((await enroll(service, held, 'SN-1')).status, 201)
  const other = await claim(service, { name: 'batch-2' })
  assert.deepEqual(reason(await enroll(service, other, 'SN-1')), [409, 'device_exists'])
  for (const terms of [{ quota: 0 }, { days: 31 }, { allow: [] }, { name: 'a b' }, { role: 'admin' }]) {
    const order = { name: 'x', quota: 1, csr: held.csr, ...terms }
    assert.equal((await service.call('POST', '/v1/claims', order)).status, 400, JSON.stringify(terms))
  }
})

test('the key of a claim never identifies a device, and no key of a device a claim', async () => {
  await using service = await startService()
  const held = await claim(service)
  assert.deepEqual(reason(await enroll(service, held, 'pump-1', held.csr)), [409, 'public_key_taken'])
  const { csr } = makeCsr('p256')
  await service.enroll('pump-2', csr)
  for (const taken of [csr, held.csr]) {
    const order = { name: 'batch-2', quota: 1, csr: taken }
    assert.equal((await service.call('POST', '/v1/claims', order)).body.reason, 'public_key_taken')
  }
  await service.call('POST', '/v1/devices', { id: 'pump-3' })
  const byOperator = await service.call('POST', '/v1/devices/pump-3/certificates', { csr: held.csr })
  assert.equal(byOperator.body.reason, 'public_key_taken')
})

test('the same key again gets the same certificate; another one may try until the device has connected', async () => {
  await using service = await startService()
  const held = await claim(service, { quota: 1 })
  const { csr } = makeCsr('p256')
  const first = await enroll(service, held, 'pump-1', csr)
  assert.equal((await enroll(service, held, 'pump-1', csr)).body.fingerprint, first.body.fingerprint)
  const second = await enroll(service, held, 'pump-1')
  assert.equal(second.status, 201)
  assert.notEqual(second.body.fingerprint, first.body.fingerprint)
  await use(service, 'pump-1', second.body.fingerprint, Date.now())
  assert.deepEqual(reason(await enroll(service, held, 'pump-1')), [409, 'device_state_forbids'])
  assert.deepEqual(reason(await enroll(service, held, 'pump-2')), [409, 'claim_exceeded'])
})

test('what it enrolled lapses an hour later unless it was used', async () => {
  let now = Math.floor(Date.now() / 1000) * 1000
  await using service = await startService({ now: () => now })
  const held = await claim(service)
  const begun = now
  const unused = await enroll(service, held, 'pump-1')
  const used = await enroll(service, held, 'pump-2')
  await use(service, 'pump-2', used.body.fingerprint, now)
  const statuses = async (at: number) => {
    now = at
    await service.running.lifecycleJob()
    const both = [unused, used].map(({ body }) => service.call('GET', `/v1/certificates/${body.fingerprint}`))
    return (await Promise.all(both)).map(answer => answer.body.status)
  }
  assert.deepEqual(await statuses(begun + HOUR_MS - 1), ['issued', 'active'])
  assert.deepEqual(await statuses(begun + HOUR_MS), ['lapsed', 'active'])
  const again = await enroll(service, held, 'pump-1')
  assert.deepEqual([again.status, again.body.status], [201, 'issued'], 'it may be claimed anew')
  assert.deepEqual(await statuses(begun + 2 * HOUR_MS), ['lapsed', 'active'])
})

test('it ends by time, by hand and with its issuer, to the millisecond', async () => {
  let now = Math.floor(Date.now() / 1000) * 1000
  await using service = await startService({ now: () => now })
  const begun = now
  const held = await claim(service, { days: 2 })
  now = begun + 2 * DAY_MS - 1
  assert.equal((await enroll(service, held, 'pump-1')).status, 201)
  now = begun + 2 * DAY_MS
  assert.deepEqual(reason(await enroll(service, held, 'pump-2')), [403, 'claim_refused'])
  assert.equal((await service.call('GET', `/v1/claims/${held.id}`)).body.status, 'expired')
  now = begun
  const revoked = await service.call('POST', `/v1/claims/${held.id}/revoke`)
  assert.equal(revoked.body.status, 'revoked')
  assert.deepEqual(reason(await enroll(service, held, 'pump-2')), [403, 'claim_refused'])
  assert.equal((await service.call('GET', '/v1/certificates?deviceId=pump-1')).body.items.length, 1)
  const { items } = (await service.call('GET', '/v1/issuers')).body
  const issuing = items.find((issuer: { kind: string }) => issuer.kind === 'issuing')
  const last = await claim(service, { name: 'last' })
  await service.call('POST', `/v1/issuers/${issuing.id}/disable`)
  assert.deepEqual(reason(await enroll(service, last, 'pump-3')), [409, 'issuer_disabled'])
})

test('a claim certificate is never a device, never an operator, and cannot be made one', async () => {
  await using service = await startService()
  const held = await claim(service)
  const self = await ask(service, held, 'GET', '/v1/self')
  assert.deepEqual([self.status, self.body.errors[0].message], [403, 'certificate_unlisted'])
  const renewal = await ask(
    service,
    held,
    'POST',
    '/.well-known/est/simplereenroll',
    pemBlocks(held.csr, 'CERTIFICATE REQUEST')[0],
    { 'content-type': 'application/pkcs10' },
  )
  assert.deepEqual(reason(renewal), [403, 'admission_refused'])
  assert.equal((await ask(service, held, 'GET', '/v1/devices')).status, 401)
  const asked = await service.call('POST', '/v1/admission', { certificate: held.certificate })
  assert.deepEqual([asked.body.wouldBeAdmitted, asked.body.reason], [false, 'certificate_unlisted'])
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  for (const trust of ['chained', 'pinned']) {
    const order = { certificate: held.certificate, trust }
    const registered = await service.call('POST', '/v1/devices/pump-1/certificates', order)
    assert.equal(registered.body.reason, 'certificate_issued_here')
  }
})

test('by EST the request names the device: its serialNumber, else its CN, and only one', async () => {
  await using service = await startService()
  const held = await claim(service, { group: 'pumps', quota: 10 })
  const post = (subject: string, path = '/simpleenroll') => {
    const { csr } = makeCsr('p256', ['-subj', subject])
    const body = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!.toString('base64')
    const type = { 'content-type': 'application/pkcs10' }
    return ask(service, held, 'POST', `/.well-known/est${path}`, body, type)
  }
  const refused: [string, number, string][] = [
    ['/CN=a/CN=b', 400, 'device_id_missing'],
    ['/serialNumber=1/serialNumber=2/CN=a', 400, 'device_id_missing'],
    ['/', 400, 'device_id_missing'],
    ['/CN=a b', 400, 'device_id_missing'],
    ['/CN=__proto__', 400, 'device_id_missing'],
  ]
  for (const [subject, ...expected] of refused) {
    assert.deepEqual(reason(await post(subject)), expected, subject)
  }
  assert.deepEqual(reason(await post('/CN=a', '/backend/simpleenroll')), [403, 'est_label_refused'])
  assert.equal((await post('/O=x/serialNumber=SN-1/CN=model')).status, 200)
  assert.equal((await post('/CN=pump-2', '/pumps/simpleenroll')).status, 200)
  const { items } = (await service.call('GET', '/v1/devices')).body
  assert.deepEqual(
    items.map((device: { id: string; groups: string[] }) => [device.id, device.groups]),
    [
      ['SN-1', ['pumps']],
      ['pump-2', ['pumps']],
    ],
  )
})

test('a claim that a crash left unsigned opens nothing, and its key may be asked for again', async () => {
  using folder = temporaryDirectory()
  const { csr } = makeCsr('p256')
  const order = { name: 'batch-1', quota: 1, csr, allow: ['SN-1'] }
  const first = await startService({ data: folder.path })
  const made = (await first.call('POST', '/v1/claims', order)).body
  await first[Symbol.asyncDispose]()
  const registry = openForWriting(join(folder.path, 'registry.db'))
  registry.sqlite.prepare('UPDATE claims SET fingerprint = NULL, der = NULL').run()
  await closeRegistry(registry)

  await using service = await startService({ data: folder.path })
  const left = await service.call('GET', `/v1/claims/${made.id}`)
  assert.deepEqual([left.body.status, left.body.certificate], ['unsigned', null])
  const again = await service.call('POST', '/v1/claims', order)
  assert.deepEqual([again.status, again.body.status], [201, 'open'], again.text)
  assert.notEqual(again.body.id, made.id)
  assert.equal((await service.call('GET', `/v1/claims/${made.id}`)).status, 404)
  const { items } = (await service.call('GET', `/v1/audit?action=claim.abandon&target=${made.id}`)).body
  assert.equal(items.length, 1)
})

test('where a claim asks for approval, its devices wait', async () => {
  await using service = await startService()
  const held = await claim(service, { approval: true })
  const { csr } = makeCsr('p256')
  const waits = await enroll(service, held, 'pump-1', csr)
  assert.deepEqual([waits.status, waits.body.status], [202, 'pending'])
  assert.equal((await enroll(service, held, 'pump-1', csr)).status, 202)
  await service.call('POST', `/v1/certificates/${waits.body.fingerprint}/approve`)
  const got = await enroll(service, held, 'pump-1', csr)
  assert.deepEqual([got.status, got.body.fingerprint], [201, waits.body.fingerprint])
})
