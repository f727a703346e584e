// Holding, approving and rejecting certificates, and disabling issuers, over real HTTPS.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { createAuthority } from '../../harness/authority.ts'
import { assertProblem, makeCsr, type Service, startService } from '../harness.ts'

const tester = { name: 'test', kind: 'local' } as const

/** What a broker notes when a device connects with this certificate for the first time. */
async function use(service: Service, deviceId: string, fingerprint: string): Promise<void> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  createBrokerNotes(registry).uses([{ fingerprint, deviceId, at: Date.now() }])
  await closeRegistry(registry)
}

/** Lists a certificate that waits for approval, as an enrollment that asks for one does. */
async function pending(service: Service, deviceId: string): Promise<string> {
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const authority = await createAuthority()
  const { der } = await authority.issue({ name: deviceId })
  const listing = {
    der,
    deviceId,
    issuerId: null,
    trust: 'pinned',
    status: 'pending',
    action: 'certificate.register',
  } as const
  const fingerprint = await createRegistryWriter(registry).listCertificate(listing, tester)
  await closeRegistry(registry)
  return fingerprint
}

test('a certificate in use is held and let go again; the same again gives the same epoch', async () => {
  await using service = await startService()
  const { fingerprint } = await service.enroll('pump-1')
  const path = `/v1/certificates/${fingerprint}`
  assertProblem(await service.call('POST', `${path}/suspend`), 409, 'certificate_status_forbids')
  await use(service, 'pump-1', fingerprint)
  const held = await service.call('POST', `${path}/suspend`)
  assert.equal(held.status, 200, held.text)
  assert.deepEqual([held.body.fingerprint, held.body.status], [fingerprint, 'suspended'])
  assert.equal((await service.call('POST', `${path}/suspend`)).body.epoch, held.body.epoch)
  assert.equal((await service.call('GET', `${path}/admission`)).body.reason, 'certificate_suspended')
  const released = await service.call('POST', `${path}/activate`)
  assert.equal(released.body.status, 'active')
  assert.ok(released.body.epoch > held.body.epoch)
  assert.equal((await service.call('GET', `${path}/admission`)).body.wouldBeAdmitted, true)
})

test('a held certificate is not let go where two others admit the device by now', async () => {
  await using service = await startService()
  const { fingerprint } = await service.enroll('pump-1')
  await use(service, 'pump-1', fingerprint)
  await service.call('POST', `/v1/certificates/${fingerprint}/suspend`)
  const others = [await service.enroll('pump-1'), await service.enroll('pump-1')]
  const refused = await service.call('POST', `/v1/certificates/${fingerprint}/activate`)
  assertProblem(refused, 409, 'certificates_exceeded')
  for (const other of others) assert.match(refused.body.detail, new RegExp(other.fingerprint))
  const third = await service.call('POST', '/v1/devices/pump-1/certificates', { csr: makeCsr('p256').csr })
  assertProblem(third, 409, 'certificates_exceeded')
  await service.call('POST', `/v1/certificates/${others[0]!.fingerprint}/revoke`, { reason: 'superseded' })
  assert.equal((await service.call('POST', `/v1/certificates/${fingerprint}/activate`)).status, 200)
})

test('what waits for approval is approved or rejected, once', async () => {
  await using service = await startService()
  await service.call('POST', '/v1/devices', { id: 'pump-1' })
  const [yes, no] = [await pending(service, 'pump-1'), await pending(service, 'pump-1')]
  assert.equal(
    (await service.call('GET', `/v1/certificates/${yes}/admission`)).body.reason,
    'certificate_pending',
  )
  assert.equal((await service.call('POST', `/v1/certificates/${yes}/approve`)).body.status, 'active')
  assert.equal((await service.call('GET', `/v1/certificates/${yes}/admission`)).body.wouldBeAdmitted, true)
  assert.equal((await service.call('POST', `/v1/certificates/${no}/reject`)).body.status, 'rejected')
  assertProblem(
    await service.call('POST', `/v1/certificates/${no}/approve`),
    409,
    'certificate_status_forbids',
  )
  assertProblem(
    await service.call('POST', `/v1/certificates/${yes}/reject`),
    409,
    'certificate_status_forbids',
  )
})

test('a disabled issuer admits nobody and issues nothing until it is enabled again', async () => {
  await using service = await startService()
  const { fingerprint, issuerId } = await service.enroll('pump-1')
  const listed = (await service.call('GET', '/v1/issuers')).body
  assert.equal(listed.nextCursor, null)
  const issuing = listed.items.find((issuer: { id: string }) => issuer.id === issuerId)
  assert.deepEqual([issuing.kind, issuing.enabled], ['issuing', true])
  assert.ok(listed.items.some((issuer: { id: string }) => issuer.id === issuing.parentId))
  const off = await service.call('POST', `/v1/issuers/${issuerId}/disable`)
  assert.deepEqual([off.status, off.body.issuerId, off.body.enabled], [200, issuerId, false])
  const admission = `/v1/certificates/${fingerprint}/admission`
  assert.equal((await service.call('GET', admission)).body.reason, 'issuer_disabled')
  const refused = await service.call('POST', '/v1/devices/pump-1/certificates', { csr: makeCsr('p256').csr })
  assertProblem(refused, 409, 'issuer_disabled')
  assert.equal((await service.call('POST', `/v1/issuers/${issuerId}/enable`)).body.enabled, true)
  assert.equal((await service.call('GET', admission)).body.wouldBeAdmitted, true)
  assertProblem(await service.call('POST', `/v1/issuers/${'0'.repeat(64)}/disable`), 404, 'issuer_unknown')
})
