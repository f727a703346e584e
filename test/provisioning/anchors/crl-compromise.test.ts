// A CRL that lists a certificate as keyCompromise says that the key is in other hands: it ends with all that was obtained with it,
// as by an operator's word, also where the service stopped half-way, and whichever was there first.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { certificateFacts } from '../../../pki/certificate-facts.ts'
import { pemBlocks, toPem } from '../../../pki/pem.ts'
import { readRevocationList } from '../../../pki/revocation-list.ts'
import { until } from '../../harness/until.ts'
import { ask } from '../device-requests.ts'
import {
  assertProblem,
  makeCsr,
  openssl,
  type Service,
  startService,
  temporaryDirectory,
} from '../harness.ts'
import { type CrlAuthority, makeCrlAuthority } from './crl-authority.ts'

const client = 'extendedKeyUsage=clientAuth'
const authority = 'basicConstraints=CA:TRUE\nkeyUsage=keyCertSign,cRLSign'

/** A certificate for the key and the subject of a request, however many it has already. PEM. */
function certify({ ca }: CrlAuthority, csr: string, serial: string, extensions = client): string {
  using folder = temporaryDirectory()
  const file = (name: string, content: string) => {
    writeFileSync(join(folder.path, name), content)
    return join(folder.path, name)
  }
  return openssl([
    ...[
      'x509',
      '-req',
      '-in',
      file('csr', csr),
      '-CA',
      file('ca', ca.certificate),
      '-CAkey',
      file('key', ca.key),
    ],
    ...['-set_serial', `0x${serial}`, '-days', '30', '-extfile', file('extensions', `${extensions}\n`)],
  ])
}

function requestFor(key: string, subject: string): string {
  using folder = temporaryDirectory()
  writeFileSync(join(folder.path, 'key'), key)
  return openssl(['req', '-new', '-key', join(folder.path, 'key'), '-subj', subject])
}

const factsOf = (pem: string) => certificateFacts(new X509Certificate(pem).raw)
const trust = async (service: Service, certificate: string): Promise<string> =>
  (await service.call('POST', '/v1/issuers', { certificate })).body.id
const upload = (service: Service, id: string, der: Buffer) =>
  service.call('PUT', `/v1/issuers/${id}/crl`, { crl: toPem(der, 'X509 CRL') })

async function register(service: Service, deviceId: string, certificate: string) {
  await service.call('POST', '/v1/devices', { id: deviceId })
  const answer = await service.call('POST', `/v1/devices/${deviceId}/certificates`, { certificate })
  assert.equal(answer.status, 201, answer.text)
  return answer.body
}

async function stateOf(service: Service, certificate: string): Promise<[string, string | null]> {
  const { fingerprint } = factsOf(certificate)
  const { body } = await service.call('GET', `/v1/certificates/${fingerprint}`)
  return [body.status, body.revocationReason ?? null]
}

test('a key that a CRL calls compromised ends with every certificate of it and all it obtained, on record', async () => {
  await using service = await startService({ crlLookMs: 20 })
  using pki = makeCrlAuthority()
  using other = makeCrlAuthority('Other CA')
  const [id] = [await trust(service, pki.ca.certificate), await trust(service, other.ca.certificate)]
  const pair = makeCsr('p256', ['-subj', '/CN=a'])
  const [listed, twin] = [certify(pki, pair.csr, 'AB'), certify(other, pair.csr, '01')]
  await register(service, 'a', listed)
  await register(service, 'a', twin)
  const bystander = certify(pki, makeCsr('p256', ['-subj', '/CN=b']).csr, 'AC')
  await register(service, 'b', bystander)
  await service.call('POST', `/v1/certificates/${factsOf(twin).fingerprint}/revoke`, { reason: 'superseded' })
  const third = certify(other, pair.csr, '02')
  await register(service, 'a', third)

  const answer = await upload(
    service,
    id,
    pki.crl({ AB: 'keyCompromise', AC: 'superseded', FF: 'keyCompromise' }),
  )
  assert.equal(answer.status, 200, answer.text)
  assert.deepEqual(await stateOf(service, listed), ['revoked', 'keyCompromise'])
  assert.deepEqual(await stateOf(service, third), ['revoked', 'keyCompromise'])
  assert.equal((await stateOf(service, bystander))[0], 'issued')
  const { items } = (await service.call('GET', '/v1/audit?action=certificate.revoke&limit=10&order=newest'))
    .body
  const [named, byKey] = items
  assert.deepEqual(
    [named.target, named.reason, named.detail.because, named.detail.issuer],
    [...[factsOf(listed).fingerprint, 'keyCompromise', 'crl', id]],
  )
  assert.deepEqual(
    [byKey.target, byKey.detail.because, byKey.detail.named],
    [...[factsOf(third).fingerprint, 'key', factsOf(listed).fingerprint]],
  )
  assert.equal(named.actor, items[0].actor)
  const heard = async () => {
    const { body } = await service.call('GET', '/v1/events?kind=revoked&limit=10')
    return new Set(body.items.map((event: { fingerprint: string }) => event.fingerprint))
  }
  await until(async () => (await heard()).has(factsOf(third).fingerprint))

  // A later list takes nothing back, and the key comes back by no certificate.
  assert.equal((await upload(service, id, pki.crl({}))).status, 200)
  assert.deepEqual(await stateOf(service, third), ['revoked', 'keyCompromise'])
  const again = await service.call('POST', '/v1/devices/a/certificates', {
    certificate: certify(other, pair.csr, '03'),
  })
  assertProblem(again, 409, 'public_key_compromised')
})

test('what the CRL listed before it came on the roll is revoked with its key; what a stop left is finished at the start', async () => {
  using folder = temporaryDirectory()
  using pki = makeCrlAuthority()
  const pair = makeCsr('p256', ['-subj', '/CN=a'])
  const [listed, twin] = [certify(pki, pair.csr, 'AB'), certify(pki, pair.csr, 'AC')]
  const late = certify(pki, makeCsr('p256', ['-subj', '/CN=late']).csr, 'AD')
  const path = join(folder.path, 'registry.db')
  {
    await using before = await startService({ data: folder.path })
    const id = await trust(before, pki.ca.certificate)
    await register(before, 'a', listed)
    await register(before, 'a', twin)
    // Put in force, and no further.
    const registry = openForWriting(path)
    const writer = createRegistryWriter(registry)
    const list = await readRevocationList(
      pki.crl({ AB: 'keyCompromise', AD: 'keyCompromise' }),
      new X509Certificate(pki.ca.certificate),
    )
    const { entries, coverage: _, ...facts } = list
    const crlId = (await writer.beginCrl(id, { ...facts, hash: 'h' }))!
    const counted = await writer.writeRevocations(crlId, [...entries()])
    await writer.putCrlInForce(crlId, counted, { name: 'time', kind: 'service' })
    await closeRegistry(registry)
    assert.equal((await stateOf(before, twin))[0], 'issued')
    await register(before, 'late', late)
    assert.deepEqual(await stateOf(before, late), ['revoked', 'keyCompromise'])
  }
  await using service = await startService({ data: folder.path })
  await until(async () => (await stateOf(service, twin))[0] === 'revoked')
  assert.deepEqual(await stateOf(service, twin), ['revoked', 'keyCompromise'])
  assert.deepEqual(await stateOf(service, listed), ['revoked', 'keyCompromise'])
})

test('a CA whose key the CRL above it calls compromised admits nobody under another certificate, nor is it taken again', async () => {
  await using service = await startService()
  using root = makeCrlAuthority('Root')
  using cross = makeCrlAuthority('Cross root')
  const [id] = [await trust(service, root.ca.certificate), await trust(service, cross.ca.certificate)]
  const { key } = makeCsr('p256')
  const subs = [
    certify(root, requestFor(key, '/CN=Sub'), '0C', authority),
    certify(cross, requestFor(key, '/CN=Sub of another'), '0D', authority),
  ]
  const ids = [await trust(service, subs[0]!), await trust(service, subs[1]!)]
  const revoked = () =>
    Promise.all(ids.map(async one => (await service.call('GET', `/v1/issuers/${one}`)).body.revoked))
  assert.equal((await upload(service, id, root.crl({ '0C': 'superseded' }))).status, 200)
  assert.deepEqual(await revoked(), [true, false])
  assert.equal((await upload(service, id, root.crl({ '0C': 'cACompromise' }))).status, 200)
  assert.deepEqual(await revoked(), [true, true])
  assert.equal((await upload(service, id, root.crl({}))).status, 200)
  assert.deepEqual(await revoked(), [true, true])
  const renewed = await service.call('POST', '/v1/issuers', {
    certificate: certify(cross, requestFor(key, '/CN=Third'), '0E', authority),
  })
  assertProblem(renewed, 409, 'public_key_compromised')
})

test('what an IDevID enrolled ends when the CRL of its manufacturer calls the IDevID compromised', async () => {
  await using service = await startService()
  using maker = makeCrlAuthority('Maker')
  const id = await trust(service, maker.ca.certificate)
  const { nonce } = (await service.call('POST', `/v1/issuers/${id}/challenge`)).body
  const proof = certify(maker, makeCsr('p256', ['-subj', `/CN=${nonce}`]).csr, '0A')
  assert.equal((await service.call('POST', `/v1/issuers/${id}/proof`, { certificate: proof })).status, 200)
  const settings = { mode: 'active', nameTemplate: '$'.concat('{cn}') }
  await service.call('PUT', `/v1/issuers/${id}/enrollment`, settings)
  const enrolled: string[] = []
  for (const [name, serial] of [
    ['m1', 'B1'],
    ['m2', 'B2'],
  ] as const) {
    const pair = makeCsr('p256', ['-subj', `/CN=${name}`])
    const idevid = { key: pair.key, certificate: certify(maker, pair.csr, serial) }
    const body = pemBlocks(makeCsr('p256').csr, 'CERTIFICATE REQUEST')[0]!.toString('base64')
    const type = { 'content-type': 'application/pkcs10' }
    const answer = await ask(service, idevid, 'POST', '/.well-known/est/simpleenroll', body, type)
    assert.equal(answer.status, 200)
    const { items } = (await service.call('GET', '/v1/certificates?limit=500')).body
    enrolled.push(items.find((one: { deviceId: string }) => one.deviceId === name).fingerprint)
  }
  assert.equal((await upload(service, id, maker.crl({ B1: 'keyCompromise' }))).status, 200)
  const status = async (fingerprint: string) =>
    (await service.call('GET', `/v1/certificates/${fingerprint}`)).body.status
  assert.deepEqual([await status(enrolled[0]!), await status(enrolled[1]!)], ['revoked', 'issued'])
})
