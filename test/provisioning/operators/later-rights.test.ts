// What was handed out before a device had rights: a token, a claim. It certifies no device that was given more since than its
// maker may give.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type Answer, ask, type Identity } from '../device-requests.ts'
import { makeCsr, type Service, startService } from '../harness.ts'

let service: Service
beforeEach(async () => {
  service = await startService({ receiptTimeoutMs: 10 })
  const statement = { effect: 'allow', actions: ['publish', 'subscribe'], topics: ['plant/#'] }
  await service.call('PUT', '/v1/policies/strong', { name: 'strong', statements: [statement] })
})
afterEach(() => service[Symbol.asyncDispose]())

const tokenOf = async (name: string, role: string, group?: string) =>
  (await service.call('POST', '/v1/api-tokens', { name, role, ...(group && { group }) })).body.token as string
const attach = (kind: string, target: string) =>
  service.call('PUT', `/v1/policies/strong/attachments/${kind}/${target}`)
const moved = async (id: string, groups: string[]) => {
  const { body } = await service.call('GET', `/v1/devices/${id}`)
  const headers = { 'if-match': `"${body.version}"` }
  const { status, text } = await service.call('PATCH', `/v1/devices/${id}`, { groups }, { headers })
  assert.equal(status, 200, text)
}
const handOut = async (body: object, token: string) => {
  const made = await service.call('POST', '/v1/enrollment-tokens', body, { token })
  assert.equal(made.status, 201, made.text)
  return made.body.token as string
}
const redeem = (token: string, body: object = {}, csr = makeCsr('p256').csr) =>
  ask(service, null, 'POST', '/v1/enroll', { csr, ...body }, { authorization: `Bearer ${token}` })
const outcome = ({ status, body }: Answer) => [status, body.reason ?? body.status]

test('a token that an enroller made before the device was given rights gets it a certificate that waits', async () => {
  const enroller = await tokenOf('eve', 'enroller')
  for (const id of ['own', 'grouped', 'plain']) await service.call('POST', '/v1/devices', { id })
  const handed = {
    own: await handOut({ deviceId: 'own' }, enroller),
    grouped: await handOut({ deviceId: 'grouped' }, enroller),
    plain: await handOut({ deviceId: 'plain' }, enroller),
  }
  await attach('device', 'own')
  await attach('group', 'backend')
  await moved('grouped', ['backend'])
  const { csr } = makeCsr('p256')
  const own = await redeem(handed.own, {}, csr)
  assert.deepEqual(outcome(own), [202, 'pending'])
  assert.deepEqual(outcome(await redeem(handed.grouped)), [202, 'pending'])
  assert.deepEqual(outcome(await redeem(handed.plain)), [201, 'issued'])
  await service.call('POST', `/v1/certificates/${own.body.fingerprint}/approve`)
  assert.equal((await redeem(handed.own, {}, csr)).status, 201)
})

test('so does a token for a group that was given a policy since', async () => {
  const token = await handOut({ group: 'pumps' }, await tokenOf('eve', 'enroller'))
  await attach('group', 'pumps')
  assert.deepEqual(outcome(await redeem(token, { deviceId: 'p1' })), [202, 'pending'])
})

test('a caller bound to a group passes on the rights of that group alone', async () => {
  await attach('group', 'pumps')
  const operator = await tokenOf('olga', 'operator', 'pumps')
  const enroller = await tokenOf('eve', 'enroller', 'pumps')
  for (const id of ['a', 'b', 'c'])
    await service.call('POST', '/v1/devices', { id, groups: ['pumps'] }, { token: enroller })
  const handed = {
    a: await handOut({ deviceId: 'a' }, operator),
    b: await handOut({ deviceId: 'b' }, operator),
    c: await handOut({ deviceId: 'c' }, enroller),
    group: await handOut({ group: 'pumps' }, enroller),
  }
  await moved('b', [])
  assert.deepEqual(outcome(await redeem(handed.a)), [201, 'issued'])
  assert.deepEqual(outcome(await redeem(handed.b)), [202, 'pending'])
  assert.deepEqual(outcome(await redeem(handed.c)), [201, 'issued'])
  assert.deepEqual(outcome(await redeem(handed.group, { deviceId: 'd' })), [201, 'issued'])
})

test('an operator of everything hands on what the device has when it comes', async () => {
  const token = await handOut({ group: 'pumps' }, await tokenOf('olga', 'operator'))
  await attach('group', 'pumps')
  assert.deepEqual(outcome(await redeem(token, { deviceId: 'p1' })), [201, 'issued'])
})

async function claim(): Promise<Identity> {
  const { csr, key } = makeCsr('p256')
  const order = { name: 'batch', quota: 9, csr, group: 'pumps' }
  const { status, body, text } = await service.call('POST', '/v1/claims', order)
  assert.equal(status, 201, text)
  return { certificate: body.certificate, key }
}
const claimed = (held: Identity, deviceId: string) =>
  ask(service, held, 'POST', '/v1/enroll', { csr: makeCsr('p256').csr, deviceId })

test('a claim enrolls no device again that was given rights since, or that an operator certified', async () => {
  await attach('group', 'pumps')
  await attach('group', 'backend')
  const held = await claim()
  for (const id of ['SN-1', 'SN-2', 'SN-3', 'SN-4']) assert.equal((await claimed(held, id)).status, 201)
  await moved('SN-1', ['pumps', 'backend'])
  await attach('device', 'SN-2')
  const { items } = (await service.call('GET', '/v1/certificates?deviceId=SN-3')).body
  await service.call('POST', `/v1/certificates/${items[0].fingerprint}/revoke`)
  await service.call('POST', '/v1/devices/SN-3/certificates', { csr: makeCsr('p256').csr })
  for (const id of ['SN-1', 'SN-2', 'SN-3'])
    assert.deepEqual(outcome(await claimed(held, id)), [403, 'claim_device_forbidden'], id)
  assert.equal((await claimed(held, 'SN-4')).status, 201)
})

test('the open tokens of an operator end with his credential, those of others and what was used do not', async () => {
  const made = await service.call('POST', '/v1/api-tokens', { name: 'eve', role: 'enroller' })
  const others = await tokenOf('bob', 'enroller')
  for (const id of ['open', 'used', 'other']) await service.call('POST', '/v1/devices', { id })
  const open = await handOut({ deviceId: 'open' }, made.body.token)
  const used = await handOut({ deviceId: 'used' }, made.body.token)
  const other = await handOut({ deviceId: 'other' }, others)
  const { csr } = makeCsr('p256')
  assert.deepEqual(outcome(await redeem(used, {}, csr)), [201, 'issued'])
  const revoked = await service.call('POST', `/v1/api-tokens/${made.body.id}/revoke`)
  assert.ok(revoked.status < 300, revoked.text)
  assert.equal((await redeem(open)).body.reason, 'enrollment_token_revoked')
  assert.equal((await redeem(used, {}, csr)).status, 201, 'a lost answer comes again')
  assert.deepEqual(outcome(await redeem(other)), [201, 'issued'])
  const { body } = await service.call('GET', '/v1/audit?action=token.revoke')
  assert.deepEqual(body.items[0].detail, { name: 'eve', enrollmentTokens: 1 })
})
