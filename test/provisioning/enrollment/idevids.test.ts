// Enrolling with the identity a device was born with: whose, under which name, how often, and what is refused.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { certificateFacts, fingerprintOf } from '../../../pki/certificate-facts.ts'
import { pemBlocks } from '../../../pki/pem.ts'
import { createAuthority, usage } from '../../harness/authority.ts'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { makeCsr, type Service, startService } from '../harness.ts'

const DAY_MS = 86_400_000
type Maker = Awaited<ReturnType<typeof createAuthority>>

/** A manufacturer on record, with its key proven, and enrollment set so. */
async function maker(service: Service, settings: object | null = { mode: 'active', group: 'pumps' }) {
  const ca = await createAuthority('Maker')
  const id = fingerprintOf(ca.der)
  await service.call('POST', '/v1/issuers', { certificate: ca.certificate })
  const { nonce } = (await service.call('POST', `/v1/issuers/${id}/challenge`)).body
  const proof = await ca.issue({ name: nonce })
  const proven = await service.call('POST', `/v1/issuers/${id}/proof`, { certificate: proof.certificate })
  assert.equal(proven.status, 200, proven.text)
  if (settings !== null) {
    const set = await service.call('PUT', `/v1/issuers/${id}/enrollment`, settings)
    assert.equal(set.status, 200, set.text)
  }
  return { ca, id, proof }
}

const born = (ca: Maker, serialNumber: string, more: object = {}) =>
  ca.issue({ name: 'model', subject: [{ CN: ['model'] }, { '2.5.4.5': [serialNumber] }], ...more })

function enroll(
  service: Service,
  identity: Identity,
  csr = makeCsr('p256').csr,
  path = '/simpleenroll',
): Promise<Answer> {
  const body = pemBlocks(csr, 'CERTIFICATE REQUEST')[0]!.toString('base64')
  const type = { 'content-type': 'application/pkcs10' }
  return ask(service, identity, 'POST', `/.well-known/est${path}`, body, type)
}

const reason = ({ status, body }: Answer) => [status, body?.reason]

test('a device of a manufacturer enrolls under the name its IDevID gives it, whatever its request says', async () => {
  await using service = await startService()
  const { ca, id } = await maker(service)
  const device = await born(ca, 'SN-1')
  const { csr } = makeCsr('p256', ['-subj', '/CN=somebody-else'])
  const first = await enroll(service, device, csr, '/pumps/simpleenroll')
  assert.equal(first.status, 200, first.bytes.toString())
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=SN-1')).body
  assert.deepEqual([items.length, items[0].status, items[0].subject], [1, 'issued', 'CN=SN-1'])
  assert.deepEqual((await service.call('GET', '/v1/devices/SN-1')).body.groups, ['pumps'])
  assert.deepEqual((await enroll(service, device, csr)).bytes, first.bytes, 'the same key, the same answer')
  const shown = await service.call('GET', `/v1/issuers/${id}/enrollment`)
  assert.deepEqual([shown.body.devices, shown.body.mode], [1, 'active'])
  // The IDevID itself is admitted nowhere by that.
  const self = await ask(service, device, 'GET', '/v1/self')
  assert.equal(self.body.errors[0].message, 'certificate_unlisted')
  // After a factory reset it has another key, and is the same device.
  assert.equal((await enroll(service, device)).status, 200)
  assert.equal((await service.call('GET', '/v1/devices')).body.items.length, 1)
})

test('another IDevID never comes by a device that is on record', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'SN-9' })
  const { ca } = await maker(service)
  assert.deepEqual(reason(await enroll(service, await born(ca, 'SN-9'))), [409, 'device_exists'])
  assert.equal((await enroll(service, await born(ca, 'SN-1'))).status, 200)
  assert.deepEqual(reason(await enroll(service, await born(ca, 'SN-1'))), [409, 'device_exists'])
  const other = await ask(service, await born(ca, 'SN-2'), 'POST', '/v1/enroll', {
    csr: makeCsr('p256').csr,
    deviceId: 'SN-1',
  })
  assert.deepEqual(reason(other), [403, 'device_id_refused'])
})

test('nobody enrolls under a CA that is off, disabled, unproven, or not on record', async () => {
  await using service = await startService()
  const { ca, id } = await maker(service, null)
  const device = await born(ca, 'SN-1')
  const missing = [401, 'enrollment_credential_missing']
  assert.deepEqual(reason(await enroll(service, device)), missing, 'off is how it begins')
  await service.call('PUT', `/v1/issuers/${id}/registration`, { mode: 'active' })
  assert.deepEqual(reason(await enroll(service, device)), missing, 'to register oneself is another thing')
  const stranger = await createAuthority('Maker')
  await service.call('PUT', `/v1/issuers/${id}/enrollment`, { mode: 'active' })
  assert.deepEqual(reason(await enroll(service, await born(stranger, 'SN-1'))), missing)
  await service.call('POST', `/v1/issuers/${id}/disable`)
  assert.deepEqual(reason(await enroll(service, device)), [403, 'idevid_refused'])
  await service.call('POST', `/v1/issuers/${id}/enable`)
  assert.equal((await enroll(service, device)).status, 200)
  await service.call('PUT', `/v1/issuers/${id}/enrollment`, { mode: 'off' })
  assert.deepEqual(reason(await enroll(service, device)), missing)
  const unproven = await service.call('POST', '/v1/issuers', { certificate: stranger.certificate })
  const set = await service.call('PUT', `/v1/issuers/${unproven.body.id}/enrollment`, { mode: 'active' })
  assert.deepEqual([set.status, set.body.reason], [409, 'possession_unproven'])
})

test('an IDevID that is expired, unfit, or names nobody or several is refused with the cause', async () => {
  const now = Date.now()
  await using service = await startService()
  const { ca, proof, id } = await maker(service)
  const two = { subject: [{ '2.5.4.5': ['SN-1'] }, { '2.5.4.5': ['SN-2'] }] }
  const cases: [string, Identity, RegExp][] = [
    ['expired', await born(ca, 'SN-1', { notAfter: new Date(now - 1000) }), /not valid now/],
    ['of tomorrow', await born(ca, 'SN-1', { notBefore: new Date(now + DAY_MS) }), /not valid now/],
    ['a CA', await born(ca, 'SN-1', { ca: true }), /CA must be FALSE/],
    ['for servers', await born(ca, 'SN-1', { usages: [usage.serverAuth] }), /clientAuth/],
    ['no serialNumber', await ca.issue({ name: 'SN-1' }), /no value/],
    ['two of them', await ca.issue({ name: 'x', ...two }), /2 values/],
    ['a topic', await born(ca, 'a/#'), /no device ID/],
    ['the proof of possession', proof, /identifies no device/],
  ]
  for (const [name, identity, detail] of cases) {
    const answer = await enroll(service, identity)
    assert.deepEqual(reason(answer), [403, 'idevid_refused'], name)
    assert.match(answer.body.detail, detail, name)
  }
  assert.equal((await service.call('GET', '/v1/devices')).body.items.length, 0)
  for (const nameTemplate of ['pump', `\${nobody}`, `\${subject.serialNumber}/x`]) {
    const set = await service.call('PUT', `/v1/issuers/${id}/enrollment`, { mode: 'active', nameTemplate })
    assert.equal(set.body.reason, 'name_template_invalid')
  }
})

test('an IDevID that the CRL of its manufacturer lists is refused', async () => {
  await using service = await startService()
  const { ca, id } = await maker(service)
  const [good, bad] = [await born(ca, 'SN-1'), await born(ca, 'SN-2')]
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const { lastInsertRowid } = registry.sqlite
    .prepare(
      `INSERT INTO issuer_crls (issuer_id, number, this_update, scope, entries, hash, imported_at)
       VALUES (?, '1', 0, 'x', 1, 'x', 0)`,
    )
    .run(id)
  registry.sqlite
    .prepare("INSERT INTO issuer_revocations VALUES (?, ?, 0, 'keyCompromise')")
    .run(lastInsertRowid, certificateFacts(bad.der).serialNumber)
  registry.sqlite.prepare('UPDATE issuers SET crl_id = ? WHERE id = ?').run(lastInsertRowid, id)
  await closeRegistry(registry)
  assert.equal((await enroll(service, good)).status, 200)
  const refused = await enroll(service, bad)
  assert.deepEqual(reason(refused), [403, 'idevid_refused'])
  assert.match(refused.body.detail, /CRL/)
})

test('caps hold, approval is waited for, and a suspended device gets nothing', async () => {
  await using service = await startService()
  const { ca, id } = await maker(service, { mode: 'pending', devicesMax: 2, nameTemplate: `m-\${cn}` })
  const device = await ca.issue({ name: 'SN-1' })
  const { csr } = makeCsr('p256')
  const waits = await enroll(service, device, csr)
  assert.deepEqual([waits.status, waits.headers['retry-after']], [202, '60'])
  const { items } = (await service.call('GET', '/v1/certificates?status=pending')).body
  assert.equal(items[0].deviceId, 'm-SN-1')
  await service.call('POST', `/v1/certificates/${items[0].fingerprint}/approve`)
  assert.equal((await enroll(service, device, csr)).status, 200)
  const race = await Promise.all(['a', 'b', 'c'].map(async name => enroll(service, await ca.issue({ name }))))
  assert.deepEqual(race.map(answer => answer.status).sort(), [202, 409, 409])
  assert.equal((await service.call('GET', `/v1/issuers/${id}/enrollment`)).body.devices, 2)
  await service.call('POST', '/v1/devices/m-SN-1/suspend')
  assert.deepEqual(reason(await enroll(service, device)), [409, 'device_state_forbids'])
  await service.call('POST', '/v1/devices/m-SN-1/decommission')
  assert.deepEqual(reason(await enroll(service, device)), [409, 'device_state_forbids'])
  const own = (await service.call('GET', '/v1/issuers')).body.items.find(
    (issuer: { kind: string }) => issuer.kind === 'issuing',
  )
  assert.equal((await service.call('GET', `/v1/issuers/${own.id}/enrollment`)).body.reason, 'issuer_own')
})
