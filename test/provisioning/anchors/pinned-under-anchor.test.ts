// Pinning is no way round the CA: a pinned certificate that a CA on record signed follows its CRL and its being disabled,
// whichever was there first, and also where an older version pinned it.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import type { CheckContext } from '../../../cli/doctor/finding.ts'
import { checkPinned } from '../../../cli/doctor/registry.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { toPem } from '../../../pki/pem.ts'
import { until } from '../../harness/until.ts'
import { assertProblem, makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { type CrlAuthority, makeCrlAuthority } from './crl-authority.ts'

const trusting = async (service: Service, pki: CrlAuthority): Promise<string> =>
  (await service.call('POST', '/v1/issuers', { certificate: pki.ca.certificate })).body.id

async function pin(service: Service, deviceId: string, certificate: string) {
  await service.call('POST', '/v1/devices', { id: deviceId })
  return service.call('POST', `/v1/devices/${deviceId}/certificates`, { certificate, trust: 'pinned' })
}

const reasonOf = async (service: Service, deviceId: string) =>
  (await service.call('GET', `/v1/devices/${deviceId}/admission`)).body.reason

async function revokes(service: Service, pki: CrlAuthority, id: string, serial: string): Promise<void> {
  const crl = toPem(pki.crl({ [serial]: 'superseded' }), 'X509 CRL')
  assert.equal((await service.call('PUT', `/v1/issuers/${id}/crl`, { crl })).status, 200)
}

test('a certificate pinned under a registered anchor is refused once the CRL lists it or the anchor is disabled', async () => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  const id = await trusting(service, pki)
  const pinned = await pin(service, 'a', pki.issue('/CN=a', 'A1'))
  assert.deepEqual([pinned.status, pinned.body.issuerId, pinned.body.trust], [201, id, 'pinned'])
  assert.equal((await pin(service, 'b', pki.issue('/CN=b', 'B1'))).status, 201)
  assert.deepEqual([await reasonOf(service, 'a'), await reasonOf(service, 'b')], [null, null])
  await revokes(service, pki, id, 'A1')
  assert.deepEqual(
    [await reasonOf(service, 'a'), await reasonOf(service, 'b')],
    ['certificate_revoked_by_issuer', null],
  )
  await service.call('POST', `/v1/issuers/${id}/disable`)
  assert.equal(await reasonOf(service, 'b'), 'issuer_disabled')
  const late = await pin(service, 'c', pki.issue('/CN=c', 'C1'))
  assertProblem(late, 400, 'certificate_invalid')
  assert.match(late.text, /is disabled/)
})

test('a certificate pinned before its CA was registered follows it from then on, and brokers are told', async () => {
  await using service = await startService()
  using pki = makeCrlAuthority()
  using other = makeCrlAuthority('Other CA')
  const certificate = pki.issue('/CN=a', 'A1')
  await pin(service, 'a', certificate)
  await pin(service, 'x', other.issue('/CN=x', 'A1'))
  const id = await trusting(service, pki)
  const fingerprint = fingerprintOf(new X509Certificate(certificate).raw)
  const { items } = (await service.call('GET', '/v1/audit?action=certificate.bind')).body
  assert.deepEqual(
    items.map(({ target, detail }: { target: string; detail: object }) => [target, detail]),
    [[fingerprint, { deviceId: 'a', issuerId: id }]],
  )
  await revokes(service, pki, id, 'A1')
  assert.deepEqual(
    [await reasonOf(service, 'a'), await reasonOf(service, 'x')],
    ['certificate_revoked_by_issuer', null],
  )
})

test('what an older version pinned without looking is bound when the service starts', async () => {
  using folder = temporaryDirectory()
  using pki = makeCrlAuthority()
  {
    await using before = await startService({ data: folder.path })
    const id = await trusting(before, pki)
    await pin(before, 'a', pki.issue('/CN=a', 'A1'))
    await revokes(before, pki, id, 'A1')
  }
  const old = new Sqlite(join(folder.path, 'registry.db'))
  old.exec("UPDATE certificates SET issuer_id = NULL WHERE trust = 'pinned'")
  old.close()
  const context = { data: folder.path } as CheckContext
  const [loose] = checkPinned(context)
  assert.equal(loose?.verdict, 'warn')
  assert.match(
    loose?.found ?? '',
    /pinned under a trust anchor, without its CRL: 1, such as [0-9a-f]{64} of a/,
  )
  await using service = await startService({ data: folder.path })
  await until(async () => (await reasonOf(service, 'a')) === 'certificate_revoked_by_issuer')
  assert.deepEqual(
    checkPinned(context).map(({ verdict, found }) => [verdict, found]),
    [['ok', '1 follow the CA that signed them']],
  )
})

test('a certificate of this service itself is not pinned', async () => {
  await using service = await startService()
  const { certificate } = await service.enroll('a', makeCsr('p256').csr)
  assertProblem(await pin(service, 'b', certificate), 409, 'certificate_issued_here')
})
