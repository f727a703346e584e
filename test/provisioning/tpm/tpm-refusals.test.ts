// What a TPM is refused for: certificates that hold no more, answers that prove nothing, keys that are no device's. Each with its cause.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { createSoftwareTpm, SIGNING_KEY } from '../../../device-sim/enrollment/software-tpm.ts'
import { certificateFacts } from '../../../pki/certificate-facts.ts'
import { createAuthority, selfSigned, usage } from '../../harness/authority.ts'
import { type Service, startService } from '../harness.ts'
import {
  answer,
  certify,
  challenge,
  deviceOf,
  documentsOf,
  enroll,
  type Maker,
  makerOf,
  reasonOf,
} from './tpm-devices.ts'

let service: Service
let maker: Maker
before(async () => {
  service = await startService({ failuresPerMinuteMax: 100_000 })
  maker = await makerOf(service)
})
after(() => service[Symbol.asyncDispose]())

test('a certificate of an endorsement key that holds no more, or never did, is refused with the cause', async () => {
  const own = createSoftwareTpm()
  const key = own.createKey()
  const stranger = await createAuthority('Stranger')
  const off = await makerOf(service, null)
  const cases: [string, object, [number, string], RegExp][] = [
    ['self-signed', await selfSignedEk(), [403, 'tpm_unknown'], /self-signed/],
    ['of nobody we know', await certify(stranger, own.endorsement), [403, 'tpm_unknown'], /no trust anchor/],
    [
      'of a maker that is off',
      await certify(off.ca, own.endorsement),
      [403, 'tpm_unknown'],
      /not set to vouch/,
    ],
    [
      'expired',
      await certify(maker.ca, own.endorsement, { notAfter: new Date(Date.now() - 1000) }),
      [403, 'tpm_unknown'],
      /not valid now/,
    ],
    [
      'for clients',
      await certify(maker.ca, own.endorsement, { usages: [usage.clientAuth] }),
      [400, 'tpm_key_refused'],
      /2\.23\.133\.8\.1/,
    ],
    [
      'without usage',
      await certify(maker.ca, own.endorsement, { usages: null }),
      [400, 'tpm_key_refused'],
      /extendedKeyUsage/,
    ],
    [
      'a CA',
      await certify(maker.ca, own.endorsement, { ca: true }),
      [400, 'tpm_key_refused'],
      /CA must be FALSE/,
    ],
  ]
  for (const [name, endorsement, expected, detail] of cases) {
    const { certificate } = endorsement as { certificate: string }
    const refused = await challenge(service, {
      key: key.area.toString('base64'),
      endorsementCertificate: certificate,
    })
    assert.deepEqual(reasonOf(refused), expected, name)
    assert.match(refused.body.detail, detail, name)
  }

  async function selfSignedEk() {
    return selfSigned({ name: 'unknown', usages: ['2.23.133.8.1'] })
  }
})

test('a manufacturer that is disabled, or whose CRL lists the certificate, vouches for nobody any more', async () => {
  const { ca, id } = await makerOf(service, { mode: 'active', devicesMax: 1 })
  const device = await deviceOf(ca)
  assert.equal((await enroll(service, device)).status, 201)
  const more = await enroll(service, await deviceOf(ca))
  assert.deepEqual(reasonOf(more), [409, 'claim_exceeded'])
  await service.call('POST', `/v1/issuers/${id}/disable`)
  const refused = await enroll(service, { ...device, key: device.tpm.createKey() })
  assert.deepEqual(reasonOf(refused), [403, 'tpm_unknown'])
  assert.match(refused.body.detail, /disabled/)
  await service.call('POST', `/v1/issuers/${id}/enable`)
  const hidden = await enroll(service, { ...device, endorsement: null })
  assert.deepEqual(reasonOf(hidden), [403, 'tpm_unknown'], 'its certificate is asked for each time')
  const open = await challenge(service, documentsOf(device.tpm, device.key, device.endorsement))
  await service.call('PUT', `/v1/issuers/${id}/tpm`, { mode: 'off' })
  const secret = device.tpm.activate(device.key, Buffer.from(open.body.credential, 'base64'))
  const late = await answer(service, open.body.session, secret)
  // The same key has its certificate already; a new one would be refused.
  assert.equal(late.status, 201)
})

test('a secret that is wrong, short, of another challenge or late ends the challenge, and none is answered twice', async () => {
  const device = await deviceOf(maker.ca)
  const open = async () => {
    const asked = await challenge(service, documentsOf(device.tpm, device.key, device.endorsement))
    assert.equal(asked.status, 201)
    return {
      session: asked.body.session,
      secret: device.tpm.activate(device.key, Buffer.from(asked.body.credential, 'base64')),
    }
  }
  const other = await open()
  const secrets: [string, (right: Buffer) => Buffer][] = [
    ['wrong', () => randomBytes(32)],
    ['short', right => right.subarray(0, 31)],
    ['long', right => Buffer.concat([right, Buffer.of(0)])],
    ['of another challenge', () => other.secret],
  ]
  for (const [name, change] of secrets) {
    const { session, secret } = await open()
    assert.deepEqual(
      reasonOf(await answer(service, session, change(secret))),
      [403, 'tpm_secret_wrong'],
      name,
    )
    assert.deepEqual(
      reasonOf(await answer(service, session, secret)),
      [404, 'tpm_session_unknown'],
      `${name}, then right`,
    )
  }
  assert.equal((await answer(service, other.session, other.secret)).status, 201)
  assert.deepEqual(reasonOf(await answer(service, other.session, other.secret)), [404, 'tpm_session_unknown'])
  assert.deepEqual(reasonOf(await answer(service, 'A'.repeat(22), other.secret)), [
    404,
    'tpm_session_unknown',
  ])
})

test('keys that prove nothing are refused with every fault at once', async () => {
  const { tpm, endorsement } = await deviceOf(maker.ca)
  const another = createSoftwareTpm()
  const good = tpm.createKey().area.toString('base64')
  const certificate = { endorsementCertificate: endorsement.certificate }
  const cases: [string, object, RegExp][] = [
    [
      'imported',
      { ...certificate, key: tpm.createKey(SIGNING_KEY & ~0x20).area.toString('base64') },
      /imported/,
    ],
    [
      'restricted',
      { ...certificate, key: tpm.createKey(SIGNING_KEY | 0x10000).area.toString('base64') },
      /restricted/,
    ],
    [
      'the endorsement key',
      { ...certificate, key: tpm.endorsement.area.toString('base64') },
      /endorsement key itself/,
    ],
    [
      'truncated',
      { ...certificate, key: tpm.createKey().area.subarray(0, 40).toString('base64') },
      /cut off/,
    ],
    ['no base64', { ...certificate, key: '????' }, /not base64/],
    ['no endorsement key', { key: good }, /send endorsementCertificate/],
    [
      'of two TPMs',
      { ...certificate, key: good, endorsementKey: another.endorsement.area.toString('base64') },
      /of two TPMs/,
    ],
    ['no endorsement key but another', { key: good, endorsementKey: good }, /restricted must be set/],
    ['no certificate', { key: good, endorsementCertificate: 'AAAA' }, /no DER|not a DER/],
  ]
  for (const [name, documents, detail] of cases) {
    const refused = await challenge(service, documents)
    assert.deepEqual(reasonOf(refused), [400, 'tpm_key_refused'], name)
    assert.match(refused.body.detail, detail, name)
  }
})

test('a TPM whose endorsement certificate the CRL of its manufacturer lists is refused, also when that came meanwhile', async () => {
  const { ca, id } = await makerOf(service, { mode: 'active' })
  const [good, bad] = [await deviceOf(ca), await deviceOf(ca)]
  const asked = await challenge(service, documentsOf(bad.tpm, bad.key, bad.endorsement))
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const { lastInsertRowid } = registry.sqlite
    .prepare(
      `INSERT INTO issuer_crls (issuer_id, number, this_update, scope, entries, hash, imported_at)
       VALUES (?, '1', 0, 'x', 1, 'x', 0)`,
    )
    .run(id)
  registry.sqlite
    .prepare("INSERT INTO issuer_revocations VALUES (?, ?, 0, 'keyCompromise')")
    .run(lastInsertRowid, certificateFacts(bad.endorsement.der).serialNumber)
  registry.sqlite.prepare('UPDATE issuers SET crl_id = ? WHERE id = ?').run(lastInsertRowid, id)
  await closeRegistry(registry)
  const secret = bad.tpm.activate(bad.key, Buffer.from(asked.body.credential, 'base64'))
  const refused = await answer(service, asked.body.session, secret)
  assert.deepEqual(reasonOf(refused), [403, 'tpm_refused'])
  assert.match(refused.body.detail, /CRL/)
  assert.equal((await enroll(service, good)).status, 201)
})
