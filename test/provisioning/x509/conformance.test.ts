// What RFC 5280 forbids to rely on is refused when it is registered and again at admission, also where an older version listed it:
// told of at the upgrade, admitted while the grace lasts, refused after it.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { checkConformance } from '../../../cli/doctor/registry.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { apply } from '../../../db/migrations/0020-certificate-conformance.ts'
import { fingerprintOf } from '../../../pki/certificate-facts.ts'
import { toPem } from '../../../pki/pem.ts'
import { until } from '../../cli/running.ts'
import {
  commonNames,
  der,
  extensionOf,
  type ForgedCertificate,
  forgedCertificate,
  generalizedTime,
  isCa,
  oid,
  p256,
  sequence,
  signatures,
  usageBits,
} from '../../harness/certificate-forge.ts'
import { type Service, startService, temporaryDirectory } from '../harness.ts'

const name = commonNames('Maker CA')
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const caKey = p256()
const anchor = (more: ForgedCertificate = {}) =>
  forgedCertificate({
    subject: name,
    key: caKey,
    extensions: [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x06))],
    ...more,
  })
const leaf = (more: ForgedCertificate = {}) => forgedCertificate({ issuer: name, signer: caKey, ...more })
const pem = (bytes: Buffer) => toPem(bytes, 'CERTIFICATE')

const pathLength = (length: number) => sequence(Buffer.of(1, 1, 0xff), Buffer.of(2, 1, length))
const defective: readonly [reason: string, forgery: ForgedCertificate][] = [
  ['certificate_extension_unknown', { extensions: [extensionOf.unknown(true)] }],
  ['certificate_extension_unknown', { extensions: [extensionOf.nameConstraints(sequence())] }],
  ['certificate_key_usage_forbidden', { extensions: [extensionOf.keyUsage(usageBits(0x20))] }],
  ['certificate_key_usage_forbidden', { extensions: [extensionOf.keyUsage(usageBits(0x02))] }],
  ['certificate_key_usage_forbidden', { extensions: [extensionOf.keyUsage(usageBits(0x08))] }],
  ['certificate_signature_weak', { signature: signatures.ecdsaSha1 }],
  [
    'certificate_is_ca',
    { extensions: [extensionOf.basicConstraints(isCa), extensionOf.keyUsage(usageBits(0x80))] },
  ],
]

async function withAnchor(service: Service, bytes = anchor()): Promise<string> {
  const { status, body, text } = await service.call('POST', '/v1/issuers', { certificate: pem(bytes) })
  assert.equal(status, 201, text)
  return body.id
}

test('each departure from RFC 5280 is refused at registration, chained and pinned, with its reason', async () => {
  await using service = await startService()
  await withAnchor(service)
  await service.call('POST', '/v1/devices', { id: 'd' })
  for (const [reason, forgery] of defective) {
    for (const trust of ['chained', 'pinned']) {
      const certificate = pem(leaf(forgery))
      const answer = await service.call('POST', '/v1/devices/d/certificates', { certificate, trust })
      assert.equal(answer.status, 400, answer.text)
      assert.equal(answer.body.reason, 'certificate_invalid')
      assert.match(answer.body.detail, new RegExp(reason), `${reason} ${trust}`)
    }
  }
  const plain = [
    { extensions: [extensionOf.unknown(false)] },
    { extensions: [extensionOf.keyUsage(usageBits(0xa0))] },
    { extensions: [extensionOf.certificatePolicies(sequence(sequence(oid('551d2000'))))] },
  ]
  for (const [index, forgery] of plain.entries()) {
    await service.call('POST', '/v1/devices', { id: `plain-${index}` })
    const body = { certificate: pem(leaf(forgery)) }
    const answer = await service.call('POST', `/v1/devices/plain-${index}/certificates`, body)
    assert.equal(answer.status, 201, answer.text)
  }
})

test('MD5 and SHA-1 prove nothing: not of a leaf, not of a CA that proves its key; a self-signed pin is its key alone', async () => {
  await using service = await startService()
  const ca = forgedCertificate({
    subject: name,
    key: rsa,
    signature: signatures.rsaSha256,
    extensions: [extensionOf.basicConstraints(isCa)],
  })
  const id = await withAnchor(service, ca)
  const { body } = await service.call('POST', `/v1/issuers/${id}/challenge`)
  await service.call('POST', '/v1/devices', { id: 'd' })
  for (const weak of ['rsaMd5', 'rsaSha1'] as const) {
    const signature = signatures[weak]
    const proof = forgedCertificate({
      subject: commonNames(body.nonce),
      issuer: name,
      signer: rsa,
      signature,
    })
    const proven = await service.call('POST', `/v1/issuers/${id}/proof`, { certificate: pem(proof) })
    assert.deepEqual([proven.status, proven.body.reason], [400, 'proof_invalid'])
    assert.match(proven.body.detail, /signed with (MD5|SHA-1)/)
    const leaf = forgedCertificate({ issuer: name, signer: rsa, signature })
    const listed = await service.call('POST', '/v1/devices/d/certificates', { certificate: pem(leaf) })
    assert.match(listed.body.detail, /certificate_signature_weak/)
  }
  const alone = pem(forgedCertificate({ key: rsa, signature: signatures.rsaSha1 }))
  const pinned = await service.call('POST', '/v1/devices/d/certificates', {
    certificate: alone,
    trust: 'pinned',
  })
  assert.equal(pinned.status, 201, pinned.text)
})

test('an anchor with name constraints is refused, critical or not; one without key usage is taken', async () => {
  await using service = await startService()
  const constraints = sequence(der(0xa0, sequence(der(0x82, Buffer.from('example')))))
  for (const critical of [true, false]) {
    const constrained = anchor({
      extensions: [extensionOf.basicConstraints(isCa), extensionOf.nameConstraints(constraints, critical)],
    })
    const answer = await service.call('POST', '/v1/issuers', { certificate: pem(constrained) })
    assert.deepEqual([answer.status, answer.body.reason], [400, 'issuer_invalid'])
    assert.match(answer.body.detail, /name constraints are not enforced/)
  }
  const id = await withAnchor(service, anchor({ extensions: [extensionOf.basicConstraints(isCa)] }))
  await service.call('POST', '/v1/devices', { id: 'd' })
  const listed = await service.call('POST', '/v1/devices/d/certificates', { certificate: pem(leaf()) })
  assert.deepEqual([listed.status, listed.body.issuerId], [201, id], listed.text)
})

test('the path length of a CA holds between linked anchors', async () => {
  for (const [length, status] of [
    [0, 400],
    [1, 201],
  ] as const) {
    await using service = await startService()
    await withAnchor(service, anchor({ extensions: [extensionOf.basicConstraints(pathLength(length))] }))
    const below = forgedCertificate({
      subject: commonNames('CA below'),
      issuer: name,
      signer: caKey,
      extensions: [extensionOf.basicConstraints(isCa)],
    })
    const answer = await service.call('POST', '/v1/issuers', { certificate: pem(below) })
    assert.equal(answer.status, status, answer.text)
    if (status === 400) assert.match(answer.body.detail, /permits no further CA below/)
  }
})

/** The registry as the upgrade finds it and leaves it, whatever else later versions changed. */
function upgraded(directory: string): void {
  const file = new Sqlite(join(directory, 'registry.db'))
  file.exec(`DROP INDEX certificates_defective; ALTER TABLE certificates DROP COLUMN defect;
    ALTER TABLE certificates DROP COLUMN defect_grace; ALTER TABLE trust_anchors DROP COLUMN accept_v1;`)
  file.transaction(() => apply(file)).immediate()
  file.close()
}

test('what an older version let in is told of at the upgrade, admitted while the grace lasts, and refused after it', async () => {
  using folder = temporaryDirectory()
  const unreadable = { notAfter: generalizedTime('20350101240000Z') }
  const constrained = anchor({
    extensions: [extensionOf.basicConstraints(isCa), extensionOf.nameConstraints(sequence(), false)],
  })
  const concerned: [deviceId: string, reason: string, bytes: Buffer][] = defective.map(
    ([reason, forgery], index) => [`d${index}`, reason, leaf(forgery)],
  )
  concerned.push(['unreadable', 'certificate_unreadable', leaf(unreadable)])
  {
    await using service = await startService({ data: folder.path })
    await service.enroll('fine')
    await withAnchor(service)
    await until(async () => (await service.call('GET', '/v1/events')).body.items.length > 0, 'there is news')
  }
  const registry = openForWriting(join(folder.path, 'registry.db'))
  try {
    const writer = createRegistryWriter(registry)
    const actor = { name: 'test', kind: 'token' } as const
    const issuerId = fingerprintOf(anchorOnRecord(registry))
    for (const [deviceId, , bytes] of concerned) {
      await writer.addDevice({ id: deviceId, attributes: {}, groups: [] }, actor)
      registry.sqlite
        .prepare(
          `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, serial_number, subject, key_type,
             spki_hash, client_auth, is_ca, not_before, not_after, der, issued_at)
           VALUES (?, ?, ?, 'chained', 'active', ?, '', 'p256', ?, 1, 0, 0, 4102444800000, ?, 0)`,
        )
        .run(fingerprintOf(bytes), deviceId, issuerId, deviceId, deviceId, bytes)
    }
    // And an anchor whose constraints were taken and ignored.
    const below = forgedCertificate({ issuer: commonNames('Bound CA'), signer: caKey })
    const bound = await writer.addIssuer(
      { der: constrained, name: 'Bound', kind: 'foreign', parentId: null },
      actor,
    )
    await writer.addDevice({ id: 'bound', attributes: {}, groups: [] }, actor)
    registry.sqlite
      .prepare(
        `INSERT INTO certificates (fingerprint, device_id, issuer_id, trust, status, serial_number, subject, key_type,
           spki_hash, client_auth, is_ca, not_before, not_after, der, issued_at)
         VALUES (?, 'bound', ?, 'chained', 'active', '07', '', 'p256', 'bound', 1, 0, 0, 4102444800000, ?, 0)`,
      )
      .run(fingerprintOf(below), bound, below)
    concerned.push(['bound', 'issuer_constrained', below])
  } finally {
    await closeRegistry(registry)
  }
  upgraded(folder.path)

  const reasonFor = async (service: Service, deviceId: string) => {
    const { body } = await service.call('GET', `/v1/devices/${deviceId}/admission`)
    const { checks } = body.certificates[0]
    return checks.find((check: { name: string }) => check.name === 'conformance')
  }
  {
    await using service = await startService({ data: folder.path })
    await until(async () => {
      const { body } = await service.call('GET', '/v1/events?kind=nonconforming')
      return body.items.length === concerned.length
    }, 'each is told of')
    const { body } = await service.call('GET', '/v1/events?kind=nonconforming')
    const told = body.items.map(({ deviceId, reason }: { deviceId: string; reason: string }) => [
      deviceId,
      reason,
    ])
    assert.deepEqual(told.sort(), concerned.map(([deviceId, reason]) => [deviceId, reason]).sort())
    for (const [deviceId, reason] of concerned) {
      const check = await reasonFor(service, deviceId)
      assert.deepEqual([check.outcome, check.inputs], ['passed', { defect: reason, grace: true }], deviceId)
    }
    const [finding] = checkConformance({ data: folder.path } as never)
    assert.equal(finding?.verdict, 'warn')
    for (const [deviceId, reason, bytes] of concerned) {
      assert.ok(finding?.found.includes(`${deviceId} ${fingerprintOf(bytes)} (${reason})`), deviceId)
    }
  }
  await using service = await startService({ data: folder.path, certificateGrace: false })
  for (const [deviceId, reason] of concerned) {
    const check = await reasonFor(service, deviceId)
    assert.deepEqual([check.outcome, check.reason], ['failed', reason], deviceId)
  }
  assert.equal((await service.call('GET', '/v1/devices/fine/admission')).body.wouldBeAdmitted, true)
  const { body } = await service.call('GET', '/v1/events?kind=nonconforming')
  assert.equal(body.items.length, concerned.length, 'nobody is told of twice')
})

function anchorOnRecord({ sqlite }: { sqlite: Sqlite.Database }): Buffer {
  return sqlite.prepare<[], Buffer>("SELECT der FROM issuers WHERE kind = 'foreign'").pluck().get()!
}
