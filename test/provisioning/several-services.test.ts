// Two provisioning services with directories of their own on one PostgreSQL: one registry, one audit chain, one holder of the lease.
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type PostgresServer, startPostgres } from '../harness/postgres.ts'
import { until } from '../harness/until.ts'
import { type Service, startService, temporaryDirectory } from './harness.ts'

let server: PostgresServer
before(async () => {
  server = await startPostgres()
})
after(() => server.close())

/** What the second machine gets from the first before its first start. */
function copyCa(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const name of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
    cpSync(join(from, name), join(to, name), { recursive: true, filter: path => !path.endsWith('.lock') })
  rmSync(join(to, 'keys', 'server.key'), { force: true })
}

const sealing = { rows: 1_000, intervalMs: 100 }
const at = async (service: Service, id: string) => (await service.call('GET', `/v1/devices/${id}`)).status

test('two services are one registry: roll, If-Match, Idempotency-Key, audit chain, CRL and jobs', async () => {
  using one = temporaryDirectory()
  using other = temporaryDirectory()
  const shared = { registry: server.url, sealing, receiptTimeoutMs: 20 }
  const a = await startService({ data: one.path, ...shared })
  await assert.rejects(startService({ data: other.path, ...shared }), /copy keys\/ from the machine/)
  copyCa(one.path, other.path)
  await using b = await startService({ data: other.path, ...shared })

  const enrolled = await a.enroll('d1')
  await until(async () => (await at(b, 'd1')) === 200)
  const certificate = await b.enroll('d2')
  await until(async () => (await at(a, 'd2')) === 200)
  assert.equal((await b.call('POST', '/v1/devices', { id: 'd1' })).status, 409)

  // One version of a device is changed by one request, whichever service it goes to.
  const etag = (await a.call('GET', '/v1/devices/d1')).headers['etag']!
  assert.equal((await b.call('GET', '/v1/devices/d1')).headers['etag'], etag)
  const change = (service: Service, site: string) =>
    service.call('PATCH', '/v1/devices/d1', { attributes: { site } }, { headers: { 'if-match': etag } })
  const changes = await Promise.all([
    change(a, 'north'),
    change(b, 'south'),
    change(a, 'east'),
    change(b, 'west'),
  ])
  assert.deepEqual(changes.map(({ status }) => status).sort(), [200, 412, 412, 412])

  // One key is one change, also where it comes to both at once.
  const order = { deviceId: 'd1' }
  const keyed = (service: Service, key: string) =>
    service.call('POST', '/v1/enrollment-tokens', order, { headers: { 'idempotency-key': key } })
  for (let turn = 0; turn < 5; turn += 1) {
    const answers = await Promise.all([keyed(a, `key-${turn}`), keyed(b, `key-${turn}`)])
    assert.equal(answers.filter(({ status }) => status === 201).length, 1, JSON.stringify(answers))
  }
  const count = async (service: Service) =>
    (await service.call('GET', '/v1/enrollment-tokens?limit=100')).body.items.length
  await until(async () => (await count(a)) === 5 && (await count(b)) === 5)

  const revoked = await b.call('POST', `/v1/certificates/${certificate.fingerprint}/revoke`, {
    reason: 'superseded',
  })
  assert.equal(revoked.status, 200)
  const statusOf = async (service: Service, fingerprint: string) =>
    (await service.call('GET', `/v1/certificates/${fingerprint}`)).body.status
  await until(async () => (await statusOf(a, certificate.fingerprint)) === 'revoked')
  assert.equal(await statusOf(b, enrolled.fingerprint), 'issued')

  // Both serve the list that the holder of the lease makes.
  const listOf = async (service: Service) => {
    const { issuing } = (await service.call('GET', '/v1/ca')).body
    const crl = issuing[0].crl
    return crl === null ? null : `${crl.number} ${crl.entries}`
  }
  await until(async () => {
    await Promise.all([a.running.makeCrls(), b.running.makeCrls()])
    const [first, second] = await Promise.all([listOf(a), listOf(b)])
    return first?.endsWith(' 1') === true && first === second
  })

  const verified = async (service: Service) => (await service.call('GET', '/v1/audit/verification')).body
  const sealed = async (service: Service) => {
    const { outcome, checkpoints, unsealedRows } = await verified(service)
    assert.equal(outcome, 'intact')
    return unsealedRows === 0 && checkpoints > 0
  }
  await until(async () => (await sealed(a)) && (await sealed(b)))

  // The other one takes over what one alone does.
  await a[Symbol.asyncDispose]()
  await b.call('POST', '/v1/devices', { id: 'd3' })
  await until(() => sealed(b))
  assert.deepEqual(
    (
      await server.query("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rollcall%lease'")
    )[0],
    { count: '1' },
  )
})
