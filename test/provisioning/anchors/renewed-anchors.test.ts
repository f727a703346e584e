// A trust anchor over its renewals, through the API: what takes the place of what, what may be retired, and what removed.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { toPem } from '../../../pki/pem.ts'
import { type Authority, createAuthority, type Validity } from '../../harness/authority.ts'
import { assertProblem, type Service, startService } from '../harness.ts'
import { makeCrlAuthority } from './crl-authority.ts'

const HOUR_MS = 3_600_000
const idOf = (pem: string) => fingerprintOf(new X509Certificate(pem).raw)
const add = (service: Service, { certificate }: { certificate: string }) =>
  service.call('POST', '/v1/issuers', { certificate })
const reasonOf = async (service: Service, deviceId: string) =>
  (await service.call('GET', `/v1/devices/${deviceId}/admission`)).body.reason

async function register(service: Service, deviceId: string, certificate: string) {
  await service.call('POST', '/v1/devices', { id: deviceId })
  return service.call('POST', `/v1/devices/${deviceId}/certificates`, { certificate })
}

const renewed = ({ keyPair }: Authority, validity: Validity = {}) =>
  createAuthority('Maker CA', { keyPair, ...validity })

test('a renewed anchor takes the place of the old one, before and after its end, and both validities are shown', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const old = await createAuthority('Maker CA', { notAfter: new Date(now + HOUR_MS) })
  const id = (await add(service, old)).body.id
  assert.equal((await register(service, 'a', (await old.issue({ name: 'a' })).certificate)).status, 201)

  const first = await renewed(old, { notAfter: new Date(now + 2 * HOUR_MS) })
  const added = await add(service, first)
  assert.deepEqual([added.status, added.body.id], [201, id])
  now += HOUR_MS + 1_000
  assert.equal(await reasonOf(service, 'a'), null)
  now += HOUR_MS
  assert.equal(await reasonOf(service, 'a'), 'issuer_expired')

  const second = await renewed(old)
  assert.equal((await add(service, second)).status, 201)
  assert.equal(await reasonOf(service, 'a'), null)
  assert.equal(
    (await register(service, 'b', (await second.issue({ name: 'b' })).certificate)).body.issuerId,
    id,
  )

  for (const named of [old, first, second]) {
    const { body } = await service.call('GET', `/v1/issuers/${idOf(named.certificate)}`)
    assert.equal(body.id, id)
    assert.deepEqual(
      body.certificates.map((one: { fingerprint: string; inForce: boolean }) => [
        one.fingerprint,
        one.inForce,
      ]),
      [
        [idOf(second.certificate), true],
        [idOf(first.certificate), false],
        [idOf(old.certificate), false],
      ],
    )
    assert.equal(Date.parse(body.notAfter), Date.parse(body.certificates[0].notAfter))
    assert.equal(body.certificate.trim(), second.certificate.trim())
  }
  const { items } = (await service.call('GET', `/v1/audit?action=issuer.renew&target=${id}`)).body
  assert.equal(items.length, 2)
})

test('what ends no later, is there already, or has another key is no renewal', async () => {
  await using service = await startService()
  const soon = new Date(Date.now() + HOUR_MS)
  const maker = await createAuthority('Maker CA')
  const id = (await add(service, maker)).body.id
  assertProblem(await add(service, maker), 409, 'issuer_exists')
  const shorter = await add(service, await renewed(maker, { notAfter: soon }))
  assertProblem(shorter, 409, 'issuer_exists')
  assert.match(shorter.text, /must end later/)
  const other = await add(service, await createAuthority('Maker CA'))
  assert.equal(other.status, 201)
  assert.notEqual(other.body.id, id)
})

test('a renewed CA below another keeps its place, and is judged by the CRL of the one above under its new serial number', async () => {
  await using service = await startService()
  const root = await createAuthority('Maker Root')
  const rootId = (await add(service, root)).body.id
  const below = await root.subordinate('Maker CA', { notAfter: new Date(Date.now() + HOUR_MS) })
  const id = (await add(service, below)).body.id
  const again = await add(service, await root.subordinate('Maker CA', { keyPair: below.keyPair }))
  assert.deepEqual([again.status, again.body.id, again.body.parentId], [201, id, rootId])
  const renewedRoot = await createAuthority('Maker Root', {
    keyPair: root.keyPair,
    notAfter: new Date(Date.now() + 10_000 * 24 * HOUR_MS),
  })
  assert.equal((await add(service, renewedRoot)).body.id, rootId)
  assert.equal(
    (await register(service, 'a', (await below.issue({ name: 'a' })).certificate)).body.issuerId,
    id,
  )
  assert.equal(await reasonOf(service, 'a'), null)
})

test('a certificate that was replaced is retired, unless a certificate leads to it by its serial number', async () => {
  await using service = await startService()
  using maker = makeCrlAuthority('Maker CA')
  const id = (await add(service, maker.ca)).body.id
  const old = idOf(maker.ca.certificate)
  const longer = maker.renew()
  const bound = maker.issue('/CN=a', 'A1', 'authorityKeyIdentifier=issuer:always')
  assert.equal((await register(service, 'a', bound)).status, 201)
  const fresh = await add(service, { certificate: longer })
  assert.equal(fresh.status, 201, fresh.text)
  assert.equal(await reasonOf(service, 'a'), null)

  const retire = (fingerprint: string) => service.call('POST', `/v1/issuers/${id}/retire`, { fingerprint })
  const refused = await retire(old)
  assertProblem(refused, 409, 'issuer_in_use')
  assert.match(refused.text, /of device a leads to it by its serial number/)
  assertProblem(await retire(idOf(longer)), 404, 'issuer_certificate_unknown')
  assertProblem(await retire('0'.repeat(64)), 404, 'issuer_certificate_unknown')
  const fingerprint = idOf(bound)
  await service.call('POST', `/v1/certificates/${fingerprint}/revoke`, { reason: 'superseded' })
  assert.equal((await retire(old)).body.issuerId, id)
  const { body } = await service.call('GET', `/v1/issuers/${id}`)
  assert.deepEqual(
    body.certificates.map((one: { fingerprint: string }) => one.fingerprint),
    [idOf(longer)],
  )
})

test('an anchor is removed with its CRL where nothing names it, and may be registered again', async () => {
  await using service = await startService()
  using maker = makeCrlAuthority('Maker CA')
  const id = (await add(service, maker.ca)).body.id
  const remove = () => service.call('DELETE', `/v1/issuers/${id}`)
  await register(service, 'a', maker.issue('/CN=a', 'A1'))
  const refused = await remove()
  assertProblem(refused, 409, 'issuer_in_use')
  assert.match(refused.text, /a certificate on record names it/)
  assertProblem(await service.call('DELETE', `/v1/issuers/${'0'.repeat(64)}`), 404, 'issuer_unknown')
  assertProblem(await service.call('DELETE', `/v1/issuers/${idOf(service.ca)}`), 409, 'issuer_own')

  using unused = makeCrlAuthority('Unused CA')
  const unusedId = (await add(service, unused.ca)).body.id
  const serials = Object.fromEntries(Array.from({ length: 5 }, (_, n) => [`C${n}`, 'keyCompromise' as const]))
  const crl = toPem(unused.crl(serials), 'X509 CRL')
  assert.equal((await service.call('PUT', `/v1/issuers/${unusedId}/crl`, { crl })).status, 200)
  assert.equal((await add(service, { certificate: unused.renew() })).body.id, unusedId)
  const removed = await service.call('DELETE', `/v1/issuers/${unusedId}`)
  assert.deepEqual([removed.status, removed.body.issuerId], [200, unusedId], removed.text)
  assertProblem(await service.call('GET', `/v1/issuers/${unusedId}`), 404, 'issuer_unknown')
  const actions = (await service.call('GET', `/v1/audit?target=${unusedId}`)).body.items
  assert.deepEqual(
    actions.map(({ action }: { action: string }) => action),
    ['issuer.remove', 'issuer.disable', 'issuer.renew', 'issuer.crl', 'issuer.add'],
  )
  assert.equal((await add(service, unused.ca)).status, 201)
})
