// Deleting devices: those at their end go, with all but their audit rows and keys; where a record keeps a device out, it stays.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { makeCsr, startService } from '../harness.ts'

const DAY_MS = 86_400_000

test('a device is deleted once it is decommissioned and its certificates have expired', async () => {
  let at = Date.now()
  await using service = await startService({ now: () => at })
  const { csr } = makeCsr('p256')
  await service.call('POST', '/v1/devices', { id: 'd1', groups: ['pumps'], attributes: { site: 'north' } })
  const issued = await service.call('POST', '/v1/devices/d1/certificates', { csr, days: 2 })
  await service.call('PUT', '/v1/policies/default/attachments/device/d1')
  await service.call('POST', '/v1/enrollment-tokens', { deviceId: 'd1' })
  const remove = (headers = {}) => service.call('DELETE', '/v1/devices/d1', undefined, { headers })

  const active = await remove()
  assert.deepEqual([active.status, active.body.reason], [409, 'device_state_forbids'])
  assert.match(active.body.detail, /is registered: a device is decommissioned before it is deleted/)
  await service.call('POST', '/v1/devices/d1/decommission')
  assert.match((await remove()).body.detail, /valid until .*: CRL and OCSP tell of it until then/)
  at = Date.parse(issued.body.notAfter) - 1
  assert.equal((await remove()).status, 409)
  at += 1
  assert.equal((await remove({ 'if-match': '"another"' })).body.reason, 'device_changed')
  assert.equal((await remove()).status, 204)

  assert.equal((await service.call('GET', '/v1/devices/d1')).status, 404)
  assert.equal((await service.call('GET', `/v1/certificates/${issued.body.fingerprint}`)).status, 404)
  const { items } = (await service.call('GET', '/v1/audit?target=d1')).body
  assert.equal(items[0].action, 'device.delete')
  const { attributes, groups, certificates } = items[0].detail
  assert.deepEqual(
    [attributes, groups, certificates],
    [{ site: 'north' }, ['pumps'], [issued.body.fingerprint]],
  )
  assert.equal(items.at(-1).action, 'device.add')
  assert.equal((await service.call('GET', '/v1/audit/verification')).body.outcome, 'intact')

  // The ID is free again, and the next device of it has nothing of the one before; its key is nobody's any more.
  await service.call('POST', '/v1/devices', { id: 'd1' })
  const { attachments } = (await service.call('GET', '/v1/devices/d1/policy')).body
  assert.doesNotMatch(JSON.stringify(attachments ?? []), /"device"/)
  for (const id of ['d1', 'd2']) {
    await service.call('POST', '/v1/devices', { id })
    const again = await service.call('POST', `/v1/devices/${id}/certificates`, { csr })
    assert.deepEqual([again.status, again.body.reason], [409, 'public_key_taken'])
    assert.match(again.body.detail, /belonged to a device that was deleted/)
  }
})

test('a device added by mistake is deleted at once, by operators of its group alone', async () => {
  await using service = await startService()
  for (const id of ['typo-1', 'typo-2']) {
    await service.call('POST', '/v1/devices', { id, groups: ['pumps'] })
    await service.call('POST', `/v1/devices/${id}/decommission`)
  }
  const tokenOf = async (role: string, group: string) =>
    (await service.call('POST', '/v1/api-tokens', { name: `${role}-${group}`, role, group })).body.token
  const remove = async (token: string) =>
    (await service.call('DELETE', '/v1/devices/typo-1', undefined, { token })).status
  assert.equal(await remove(await tokenOf('enroller', 'pumps')), 403)
  assert.equal(await remove(await tokenOf('operator', 'fans')), 404)
  assert.equal(await remove(await tokenOf('operator', 'pumps')), 204)
  const { body } = await service.call('GET', '/v1/overview')
  assert.equal(body.devices.decommissioned, 1)
})

test('what could bring itself back stays on record: a device that registered itself, a claim that is open', async () => {
  let at = Date.now()
  await using service = await startService({ now: () => at })
  const made = await service.call('POST', '/v1/claims', {
    name: 'batch',
    csr: makeCsr('p256').csr,
    quota: 5,
    days: 30,
  })
  assert.equal(made.status, 201, made.text)
  for (const id of ['d1', 'd2']) {
    await service.call('POST', '/v1/devices', { id })
    await service.call('POST', `/v1/devices/${id}/decommission`)
  }
  const issuer = (await service.call('GET', '/v1/issuers')).body.items[0].id
  const sqlite = new Sqlite(`${service.directory}/registry.db`)
  sqlite
    .prepare('INSERT INTO claimed_devices (claim_id, device_id, claimed_at) VALUES (?, ?, ?)')
    .run(made.body.id, 'd1', at)
  sqlite.prepare("INSERT INTO auto_registrations VALUES ('d2', ?, 'aa', ?)").run(issuer, at)
  sqlite.close()
  const refused = await service.call('DELETE', '/v1/devices/d1')
  assert.match(refused.body.detail, /was claimed by batch, which could enroll it again/)
  at += 31 * DAY_MS
  assert.equal((await service.call('DELETE', '/v1/devices/d1')).status, 204)
  const itself = await service.call('DELETE', '/v1/devices/d2')
  assert.match(itself.body.detail, /came with an identity of its maker and could enroll with it again/)
})
