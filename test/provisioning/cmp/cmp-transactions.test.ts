// Transactions of CMP in several messages: nonces, confirmations, bounds and ends.
import assert from 'node:assert/strict'
import { hash, randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { bodyTypes } from '../../../provisioning/cmp/message-reader.ts'
import { TRANSACTION_SECONDS, TRANSACTIONS_EACH_MAX } from '../../../provisioning/cmp/transactions.ts'
import { octetString, sequence } from '../../../provisioning/x509/der.ts'
import { startService, temporaryDirectory } from '../harness.ts'
import { assertRefused, ir, send, tokenFor } from './cmp-exchange.ts'
import * as cmp from './cmp-messages.ts'

test('a transaction is used once, goes on with the nonce of the last answer, and belongs to its sender', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const by = cmp.pbm(reference, secret)
  const transactionId = randomBytes(16)
  const request = cmp.message(by, { body: ir(), transactionId })
  const reply = await send(service, request)
  assert.equal(reply.bodyType, bodyTypes.ip)
  assert.deepEqual(reply.transactionId, transactionId)
  const der = cmp.certificateIn(reply)
  await assertRefused(service, request, 'transactionIdInUse', /was used before/)

  const confirmation = (
    certHash: Buffer,
    more: { recipNonce?: Buffer; requestId?: Buffer; sender?: cmp.Protector },
  ) =>
    cmp.message(more.sender ?? by, {
      ...{ transactionId, recipNonce: more.recipNonce ?? reply.senderNonce },
      body: {
        type: bodyTypes.certConf,
        der: sequence(sequence(octetString(certHash), more.requestId ?? cmp.number(0))),
      },
    })
  const right = hash('sha256', der, 'buffer')
  const badNonce = confirmation(right, { recipNonce: randomBytes(16) })
  await assertRefused(service, badNonce, 'badRecipientNonce', /recipNonce is not the senderNonce/)
  const unbound = confirmation(hash('sha256', 'another', 'buffer'), {})
  await assertRefused(service, unbound, 'badCertId', /certHash is not the hash of the certificate/)
  const wrongId = confirmation(right, { requestId: Buffer.of(0x02, 0x01, 0xff) })
  await assertRefused(service, wrongId, 'badRequest', /nothing with that certReqId is to be confirmed/)
  const stranger = await tokenFor(service)
  const foreign = confirmation(right, { sender: cmp.pbm(stranger.reference, stranger.secret) })
  await assertRefused(service, foreign, 'badRequest', /no such transaction of this sender/)
  const poll = cmp.message(by, {
    ...{ transactionId, recipNonce: reply.senderNonce },
    body: { type: bodyTypes.pollReq, der: sequence(sequence(cmp.number(0))) },
  })
  await assertRefused(service, poll, 'badRequest', /nothing with that certReqId waits/)

  const last = await send(service, confirmation(right, {}))
  assert.equal(last.bodyType, bodyTypes.pkiconf)
  const twice = confirmation(right, { recipNonce: last.senderNonce })
  await assertRefused(service, twice, 'certConfirmed', /was confirmed before/)
})

test('a device that rejects its certificate has it revoked', async () => {
  await using service = await startService()
  const { reference, secret } = await tokenFor(service)
  const by = cmp.pbm(reference, secret)
  const transactionId = randomBytes(16)
  const reply = await send(service, cmp.message(by, { body: ir(), transactionId }))
  const der = cmp.certificateIn(reply)
  const status = sequence(octetString(hash('sha256', der, 'buffer')), cmp.number(0), sequence(cmp.number(2)))
  const rejection = { type: bodyTypes.certConf, der: sequence(status) }
  const answer = await send(
    service,
    cmp.message(by, { body: rejection, transactionId, recipNonce: reply.senderNonce }),
  )
  assert.equal(answer.bodyType, bodyTypes.pkiconf)
  const certificate = (await service.call('GET', `/v1/certificates/${hash('sha256', der, 'hex')}`)).body
  assert.deepEqual([certificate.status, certificate.revocationReason], ['revoked', 'cessationOfOperation'])
})

test('a sender has so many transactions, and each its end', async () => {
  let now = Date.now()
  await using service = await startService({ now: () => now })
  const { reference, secret } = await tokenFor(service, {
    group: 'g',
    approval: true,
    lifetimeSeconds: 7 * 86_400,
  })
  const by = cmp.pbm(reference, secret)
  const key = cmp.newKey()
  const open = (transactionId = randomBytes(16)) =>
    cmp.message(by, { body: ir(cmp.certificateRequest({ key })), transactionId })
  const first = randomBytes(16)
  for (let count = 0; count < TRANSACTIONS_EACH_MAX; count += 1)
    assert.equal((await send(service, open(count === 0 ? first : undefined))).bodyType, bodyTypes.ip)
  await assertRefused(service, open(), 'systemUnavail', /too many transactions/)
  now += TRANSACTION_SECONDS * 1_000 - 1
  await assertRefused(service, open(first), 'transactionIdInUse', /was used before/)
  now += 1
  assert.equal((await send(service, open(first))).bodyType, bodyTypes.ip)
})

test('a restart ends a transaction, and the secret and key still get the same certificate', async () => {
  using folder = temporaryDirectory()
  const key = cmp.newKey()
  const transactionId = randomBytes(16)
  const asked = (by: cmp.Protector, id: Buffer) =>
    cmp.message(by, { body: ir(cmp.certificateRequest({ key })), transactionId: id })

  async function before() {
    await using service = await startService({ data: folder.path })
    const { reference, secret } = await tokenFor(service)
    const by = cmp.pbm(reference, secret)
    const reply = await send(service, asked(by, transactionId))
    return { by, reply, certificate: cmp.certificateIn(reply) }
  }
  const { by, reply, certificate } = await before()
  await using service = await startService({ data: folder.path })
  const status = sequence(octetString(hash('sha256', certificate, 'buffer')), cmp.number(0))
  const certConf = cmp.message(by, {
    ...{ transactionId, recipNonce: reply.senderNonce },
    body: { type: bodyTypes.certConf, der: sequence(status) },
  })
  await assertRefused(service, certConf, 'badRequest', /no such transaction of this sender is open/)
  const again = await send(service, asked(by, randomBytes(16)))
  assert.deepEqual(cmp.certificateIn(again), certificate)
  assert.equal(statSync(join(folder.path, 'keys', 'shared-secrets.key')).mode & 0o777, 0o600)
})
