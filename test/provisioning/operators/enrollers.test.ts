// An enroller against devices that are in use: with a request, a certificate of his own, a token, and a reason.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../../db/index.ts'
import { ask, type Identity } from '../device-requests.ts'
import { assertProblem, makeCsr, type Service, selfSigned, startService } from '../harness.ts'

let service: Service
let enroller: string
let victim: Identity & { fingerprint: string }
beforeEach(async () => {
  service = await startService({ receiptTimeoutMs: 10 })
  const registry = openForWriting(join(service.directory, 'registry.db'))
  const order = { name: 'eve', role: 'enroller', scope: null } as const
  enroller = (
    await createRegistryWriter(registry).createToken(order, { name: 'test', kind: 'local' as const })
  ).token
  const pair = makeCsr('p256')
  victim = { ...(await service.enroll('victim', pair.csr)), ...pair }
  createBrokerNotes(registry).uses([{ fingerprint: victim.fingerprint, deviceId: 'victim', at: Date.now() }])
  await closeRegistry(registry)
})
afterEach(() => service[Symbol.asyncDispose]())

const as = (method: string, path: string, body: object) =>
  service.call(method, path, body, { token: enroller })
const certify = (body: object, id = 'victim') => as('POST', `/v1/devices/${id}/certificates`, body)
const admits = async (identity: Identity) => (await ask(service, identity, 'GET', '/v1/self')).status === 200

/** What an enroller was given waits, admits nobody, and takes nothing from the victim. */
async function assertWaits(fingerprint: string, key: string): Promise<void> {
  const shown = (await service.call('GET', `/v1/certificates/${fingerprint}`)).body
  assert.equal(shown.status, 'pending')
  assert.deepEqual(
    [await admits({ certificate: shown.certificate, key }), await admits(victim)],
    [false, true],
  )
}

test('the reason that ends the grace of another certificate is not for an enroller to give', async () => {
  const taken = await certify({ csr: makeCsr('p256').csr, reason: 'keyCompromise' })
  assertProblem(taken, 403, 'role_insufficient')
  assert.equal(await admits(victim), true)
})

test('a request for a device that holds a certificate waits for an operator', async () => {
  const { csr, key } = makeCsr('p256')
  const { status, body, text } = await certify({ csr })
  assert.deepEqual([status, body.status], [201, 'pending'], text)
  await assertWaits(body.fingerprint, key)
  assertProblem(
    await as('POST', `/v1/certificates/${body.fingerprint}/approve`, {}),
    403,
    'role_insufficient',
  )
  assert.equal((await service.call('POST', `/v1/certificates/${body.fingerprint}/approve`)).status, 200)
})

test('a certificate of his own waits likewise', async () => {
  const own = selfSigned('victim')
  const { status, body, text } = await certify({ certificate: own.certificate, trust: 'pinned' })
  assert.deepEqual([status, body.status], [201, 'pending'], text)
  await assertWaits(body.fingerprint, own.key)
})

test('a token that he made enrolls a device that holds a certificate into waiting, whenever it came by it', async () => {
  await service.call('POST', '/v1/devices', { id: 'later' })
  const made = await as('POST', '/v1/enrollment-tokens', { deviceId: 'later' })
  assert.deepEqual([made.body.approval, made.body.approvalIfHeld], [false, true])
  await service.enroll('later')
  const { csr } = makeCsr('p256')
  const bearer = { authorization: `Bearer ${made.body.token}` }
  const enrolled = await ask(service, null, 'POST', '/v1/enroll', { csr }, bearer)
  assert.deepEqual([enrolled.status, enrolled.body.status], [202, 'pending'])
  await service.call('POST', `/v1/certificates/${enrolled.body.fingerprint}/approve`)
  assert.equal((await ask(service, null, 'POST', '/v1/enroll', { csr }, bearer)).status, 201)
})

test('what can be undone is held all the same: a suspension, and an issuer that is disabled', async () => {
  await service.call('POST', `/v1/certificates/${victim.fingerprint}/suspend`)
  assert.equal((await certify({ csr: makeCsr('p256').csr })).body.status, 'pending')
  await service.call('POST', `/v1/certificates/${victim.fingerprint}/activate`)
  const foreign = selfSigned('Other')
  const { items } = (await service.call('GET', '/v1/issuers')).body
  const issuing = items.find((one: { kind: string }) => one.kind === 'issuing')
  await service.call('POST', `/v1/issuers/${issuing.id}/disable`)
  const pinned = await certify({ certificate: foreign.certificate, trust: 'pinned' })
  assert.equal(pinned.body.status, 'pending', pinned.text)
})

test('what he is there for goes on: new devices, and devices whose certificates have ended', async () => {
  await as('POST', '/v1/devices', { id: 'new' })
  assert.equal((await certify({ csr: makeCsr('p256').csr }, 'new')).body.status, 'issued')
  await service.call('POST', `/v1/certificates/${victim.fingerprint}/revoke`, { reason: 'keyCompromise' })
  assert.equal((await certify({ csr: makeCsr('p256').csr })).body.status, 'issued')
})

test('ten that ask at once get one certificate that admits, and a few that wait', async () => {
  await as('POST', '/v1/devices', { id: 'new' })
  const requests = Array.from({ length: 10 }, () => makeCsr('ed25519').csr)
  const answers = await Promise.all(requests.map(csr => certify({ csr }, 'new')))
  const statuses = answers.map(({ body }) => body.status)
  assert.equal(statuses.filter(status => status === 'issued').length, 1)
  assert.equal(statuses.filter(status => status === 'pending').length, 4)
  for (const { status } of answers) assert.ok(status === 201 || status === 409)
})
