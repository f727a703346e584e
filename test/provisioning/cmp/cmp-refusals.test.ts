// What CMP refuses, each with an error message that says why: protection, transactions, requests, confirmations, and other devices' certificates.
import assert from 'node:assert/strict'
import { randomBytes, verify, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { DAY_MS } from '../../../provisioning/ca/profile.ts'
import type { failureBits } from '../../../provisioning/cmp/cmp-problems.ts'
import { bodyTypes } from '../../../provisioning/cmp/message-reader.ts'
import { integer, nothing, oid, sequence, tagged } from '../../../provisioning/x509/der.ts'
import { ask } from '../device-requests.ts'
import { makeCsr, type Service, selfSigned, startService } from '../harness.ts'
import { assertRefused, ir, send, tokenFor } from './cmp-exchange.ts'
import * as cmp from './cmp-messages.ts'

const devices = async (service: Service) => (await service.call('GET', '/v1/devices')).body.items.length

test('a MAC with absurd parameters is refused before anything is derived, and one of another secret after', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const asked = { body: ir() }
  const by = (options: Parameters<typeof cmp.pbm>[2]) =>
    cmp.message(cmp.pbm(reference, secret, options), asked)
  const rounds = /rounds are not from 100 to 10000/
  for (const value of [
    integer('80000000'),
    integer('7fffffff'),
    cmp.number(10_001),
    cmp.number(99),
    cmp.number(0),
  ])
    await assertRefused(service, by({ rounds: value }), 'badAlg', rounds)
  await assertRefused(service, by({ rounds: Buffer.of(0x02, 0x01, 0xff) }), 'badAlg', rounds)
  await assertRefused(service, by({ owf: '1.2.840.113549.2.5' }), 'badAlg', /owf is none of those/)
  await assertRefused(service, by({ mac: '1.3.6.1.5.5.8.1.1' }), 'badAlg', /mac is none of those/)
  await assertRefused(service, by({ salt: Buffer.alloc(0) }), 'badAlg', /salt is not of 8 to 128/)
  await assertRefused(service, by({ salt: Buffer.alloc(129) }), 'badAlg', /salt is not of 8 to 128/)
  const pbmac1 = cmp.message(cmp.pbmac1(reference, secret, 200_001), asked)
  await assertRefused(service, pbmac1, 'badAlg', /rounds are not from 1000 to 200000/)
  const other = cmp.message(cmp.pbm(reference, `${secret}x`), asked)
  await assertRefused(service, other, 'badMessageCheck', /not made with the secret of that reference/)
  for (const count of [100, 10_000]) {
    const info = { body: { type: bodyTypes.genm, der: sequence() } }
    const reply = await send(service, cmp.message(cmp.pbm(reference, secret, { count }), info))
    assert.equal(reply.bodyType, bodyTypes.genp, `${count} rounds are taken`)
  }
  const token = (await service.call('GET', `/v1/enrollment-tokens/${reference}`)).body
  assert.deepEqual([token.status, token.attempts, await devices(service)], ['open', 0, 0])
})

test('a message without protection, or with a sender that is unknown or another, is refused', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const asked = { body: ir() }
  await assertRefused(
    service,
    cmp.message(cmp.unprotected, asked),
    'signerNotTrusted',
    /no protection, and the TLS/,
  )
  for (const unknown of ['00000000-0000-4000-8000-000000000000', '', '\0', `${reference}x`]) {
    const by = cmp.pbm(unknown, secret)
    await assertRefused(
      service,
      cmp.message(by, asked),
      'signerNotTrusted',
      /reference of no enrollment token/,
    )
  }
  const withoutAlgorithm = { ...cmp.pbm(reference, secret), algorithm: null }
  await assertRefused(
    service,
    cmp.message(withoutAlgorithm, asked),
    'badMessageCheck',
    /one is there without/,
  )

  const [one, two] = [makeCsr('p256'), makeCsr('p256')]
  const { certificate } = await service.enroll('pump-1', one.csr)
  const signer = cmp.signature(certificate, one.key)
  const stolen = { ...signer, protect: cmp.signature(certificate, two.key).protect }
  await assertRefused(
    service,
    cmp.message(stolen, asked),
    'badMessageCheck',
    /signature is not made with the key/,
  )
  const renamed = { ...signer, sender: cmp.commonName('pump-2') }
  await assertRefused(service, cmp.message(renamed, asked), 'badMessageCheck', /sender is not the subject/)
  const misnamed = { ...signer, senderKid: Buffer.alloc(20) }
  await assertRefused(
    service,
    cmp.message(misnamed, asked),
    'badMessageCheck',
    /senderKID is not the key identifier/,
  )
  const absent = { ...signer, extraCerts: [] }
  await assertRefused(
    service,
    cmp.message(absent, asked),
    'badMessageCheck',
    /does not begin with the certificate/,
  )
  const garbled = { ...signer, extraCerts: [sequence(nothing())] }
  await assertRefused(service, cmp.message(garbled, asked), 'badMessageCheck', /extraCerts: certificate/)
  for (const type of ['rsa1024', 'p521'] as const) {
    const weak = selfSigned('pump-1', [], type)
    const unfit = cmp.message(cmp.signature(weak.certificate, weak.key), asked)
    await assertRefused(service, unfit, 'signerNotTrusted', /extraCerts: the key is/)
  }
  const stranger = selfSigned('pump-1')
  const strange = cmp.message(cmp.signature(stranger.certificate, stranger.key), asked)
  await assertRefused(service, strange, 'signerNotTrusted', /admission_refused/)
})

test('bytes that are no message, or another one than a device sends, are refused with what is wrong', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const by = cmp.pbm(reference, secret)
  await assertRefused(service, Buffer.from('hello'), 'badDataFormat', /^message: /)
  await assertRefused(service, sequence(), 'badDataFormat', /header is missing/)
  const whole = cmp.message(by, { body: ir() })
  await assertRefused(service, Buffer.concat([whole, Buffer.of(0)]), 'badDataFormat', /^message: /)
  await assertRefused(service, whole.subarray(0, -1), 'badDataFormat', /^message: /)
  const unheard = cmp.message(by, { body: ir(), pvno: 1 })
  await assertRefused(service, unheard, 'unsupportedVersion', /pvno is 1/)
  for (const senderNonce of [null, randomBytes(15)])
    await assertRefused(
      service,
      cmp.message(by, { body: ir(), senderNonce }),
      'badSenderNonce',
      /senderNonce/,
    )
  const short = cmp.message(by, { body: ir(), transactionId: Buffer.alloc(4) })
  await assertRefused(service, short, 'badDataFormat', /transactionID has less than 8/)
  const nested = cmp.message(by, { body: { type: bodyTypes.nested, der: sequence(whole) } })
  await assertRefused(service, nested, 'badRequest', /nested messages are not taken/)
  for (const type of [bodyTypes.ip, 9, 30]) {
    const odd = cmp.message(by, { body: { type, der: sequence() } })
    await assertRefused(service, odd, 'badRequest', /takes no body/)
  }
  const json = await ask(service, null, 'POST', '/.well-known/cmp', '{}', {
    'content-type': 'application/json',
  })
  assert.deepEqual([json.status, json.body.reason], [415, 'media_type_unsupported'])
  const long = await ask(service, null, 'POST', '/.well-known/cmp', Buffer.alloc(33 * 1024), {
    'content-type': 'application/pkixcmp',
  })
  assert.deepEqual([long.status, long.body.reason], [413, 'body_too_large'])
  assert.equal(await devices(service), 0)
})

test('one request in a message, with a key and the proof of its possession', async () => {
  await using service = await startService()
  const sending = async (
    body: { type: number; der: Buffer },
    failure: keyof typeof failureBits,
    text: RegExp,
  ) => {
    // A token takes five refused requests: each gets one of its own.
    const { reference, secret } = await tokenFor(service)
    await assertRefused(service, cmp.message(cmp.pbm(reference, secret), { body }), failure, text)
  }
  const asking = (parts: Parameters<typeof cmp.certificateRequest>[0]) => ir(cmp.certificateRequest(parts))
  const two = sequence(cmp.certificateRequest({}), cmp.certificateRequest({ requestId: cmp.number(1) }))
  await sending({ type: bodyTypes.ir, der: two }, 'badRequest', /2 of certificate request/)
  await sending({ type: bodyTypes.ir, der: sequence() }, 'badRequest', /0 of certificate request/)
  await sending(asking({ requestId: cmp.number(1) }), 'badRequest', /certReqId is neither 0 nor -1/)
  await sending(asking({ popo: null }), 'badPOP', /popo: it is missing/)
  await sending(asking({ popo: Buffer.of(0x80, 0x00) }), 'badPOP', /raVerified is the word/)
  await sending(asking({ popo: tagged(2, cmp.number(0)) }), 'badPOP', /only a signature/)
  const another = cmp.newKey()
  await sending(asking({ spki: cmp.spkiOf(another) }), 'badPOP', /does not verify with the public key/)
  await sending(asking({ spki: null }), 'badCertTemplate', /publicKey is missing/)
  await sending(asking({ spki: sequence(nothing()) }), 'badCertTemplate', /no public key that can be read/)
  await sending(asking({ subject: null }), 'badCertTemplate', /device_id_missing/)
  await sending(asking({ subject: 'a/b' }), 'badCertTemplate', /device_id_missing/)
  const kur = { type: bodyTypes.kur, der: sequence(cmp.certificateRequest({})) }
  await sending(kur, 'badRequest', /kur is protected by the certificate/)
  const rr = { type: bodyTypes.rr, der: sequence(sequence(sequence())) }
  await sending(rr, 'notAuthorized', /rr is protected by the certificate/)
  await sending({ type: bodyTypes.p10cr, der: sequence() }, 'badDataFormat', /^p10cr: /)
  assert.equal(await devices(service), 0)
})

test('answers are protected as the message was: by the same MAC, or by the signature of the issuing CA', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const info = { body: { type: bodyTypes.genm, der: sequence(sequence(oid('1.3.6.1.5.5.7.4.17'))) } }
  for (const by of [cmp.pbm(reference, secret), cmp.pbmac1(reference, secret)]) {
    const reply = await send(service, cmp.message(by, { ...info, pvno: 3 }))
    assert.equal(reply.bodyType, bodyTypes.genp)
    assert.deepEqual(by.protect(reply.protectedPart), reply.protection)
  }
  const { reference: unused } = await tokenFor(service)
  const refused = await send(service, cmp.message(cmp.pbm(unused, 'wrong'), info))
  const issuing = new X509Certificate(refused.extraCerts[0]!)
  assert.equal(issuing.subject, 'CN=Rollcall issuing CA')
  assert.ok(verify('sha256', refused.protectedPart, issuing.publicKey, refused.protection))
})

test('an address that proves nothing is limited, and a token that holds passes all the same', async () => {
  await using service = await startService({ failuresPerMinuteMax: 3 })
  const { reference, secret } = await tokenFor(service)
  for (let count = 0; count < 3; count += 1)
    await assertRefused(service, Buffer.from('guess'), 'badDataFormat', /^message/)
  const limited = await ask(service, null, 'POST', '/.well-known/cmp', Buffer.from('guess'), {
    'content-type': 'application/pkixcmp',
  })
  assert.deepEqual([limited.status, limited.body.reason], [429, 'rate_limited'])
  const reply = await send(service, cmp.message(cmp.pbm(reference, secret), { body: ir() }))
  assert.equal(reply.bodyType, bodyTypes.ip)
})

test('a revoked or expired token opens nothing by its secret either', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const [revoked, expired] = [await tokenFor(service), await tokenFor(service)]
  await service.call('POST', `/v1/enrollment-tokens/${revoked.reference}/revoke`)
  const asked = { body: ir() }
  const by = ({ reference, secret }: typeof revoked) => cmp.message(cmp.pbm(reference, secret), asked)
  await assertRefused(service, by(revoked), 'notAuthorized', /enrollment_token_revoked/)
  now += DAY_MS
  await assertRefused(service, by(expired), 'notAuthorized', /enrollment_token_expired/)
})
