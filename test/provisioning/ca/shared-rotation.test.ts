// Two services on one PostgreSQL, one of which hands over to another CA: the other one says that its key is missing, takes it up once it is
// copied, and never issues under a CA that was retired.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type PostgresServer, startPostgres } from '../../harness/postgres.ts'
import { until } from '../../harness/until.ts'
import { assertProblem, makeCsr, type Service, startService, temporaryDirectory } from '../harness.ts'
import { relyingParty } from '../revocation/status.ts'

let server: PostgresServer
before(async () => {
  server = await startPostgres()
})
after(() => server.close())

type Issuing = { id: string; current: boolean; keyHere: boolean; enabled: boolean }

test('another service takes up a copied key without a restart, and issues under no CA that was retired', async () => {
  using one = temporaryDirectory()
  using other = temporaryDirectory()
  const shared = { registry: server.url, receiptTimeoutMs: 20 }
  await using a = await startService({ data: one.path, ...shared })
  mkdirSync(other.path, { recursive: true })
  for (const name of ['ca.crt', 'issuing.crt', 'admin.token', 'audit.pub', 'keys'])
    cpSync(join(one.path, name), join(other.path, name), {
      recursive: true,
      filter: path => !/\.lock$|server\.key$|ocsp-/.test(path),
    })
  await using b = await startService({ data: other.path, ...shared })
  const issuing = async (service: Service): Promise<Issuing[]> =>
    (await service.call('GET', '/v1/ca')).body.issuing
  const warnings = async () => (await b.call('GET', '/readyz')).body.warnings
  const metric = async () => /^rollcall_issuing_key_missing (\d)/m.exec(await b.running.metrics())?.[1]
  const [first] = await issuing(a)

  assert.equal((await a.call('POST', '/v1/ca/rotate', {})).status, 200)
  await until(async () => (await warnings()).includes('issuing_key_missing'))
  assert.equal(await metric(), '1')
  const [next] = await issuing(b)
  assert.deepEqual([next!.current, next!.keyHere, (await issuing(a))[0]!.keyHere], [true, false, true])
  const shown = (await b.call('GET', '/v1/overview')).body.ca.issuers
  assert.deepEqual(
    shown.filter(({ current }: Issuing) => current).map(({ id, keyHere }: Issuing) => [id, keyHere]),
    [[next!.id, false]],
  )
  // The one before issues there until it is retired; the other one is nobody's to retire.
  assert.equal((await b.enroll('d1')).issuerId, first!.id)
  const retire = (service: Service, { id }: Issuing) =>
    service.call('POST', `/v1/ca/issuers/${id}/retire`, { force: true })
  assertProblem(await retire(b, next!), 409, 'issuer_current')

  // Retired while devices come.
  for (let n = 0; n < 12; n += 1) await a.call('POST', '/v1/devices', { id: `r${n}` })
  await until(async () => (await b.call('GET', '/v1/devices/r11')).status === 200)
  const coming = Array.from({ length: 12 }, (_, n) =>
    b.call('POST', `/v1/devices/r${n}/certificates`, { csr: makeCsr('p256').csr }),
  )
  const [retired, ...answers] = await Promise.all([retire(a, first!), ...coming])
  assert.equal(retired.status, 200)
  for (const { status, body } of answers)
    assert.ok(status === 201 || body.reason === 'issuer_disabled', body.detail)
  const { items } = (await a.call('GET', '/v1/audit?limit=500')).body as {
    items: { seq: number; action: string; target: string; detail: { purpose?: string } }[]
  }
  const end = items.find(({ action, target }) => action === 'issuer.disable' && target === first!.id)!
  const later = items.filter(
    ({ seq, action, detail }) =>
      seq > end.seq && action === 'certificate.intend' && detail.purpose === 'device',
  )
  assert.deepEqual(later, [])
  const refused = await b.call('POST', '/v1/devices/r0/certificates', { csr: makeCsr('p256').csr })
  assert.equal(refused.body.reason, 'issuer_disabled')
  await until(async () => (await b.call('GET', '/readyz')).status === 503)

  // A key on a disk that is away, half a key, then the whole one, and neither with the mode it should have.
  symlinkSync(join(other.path, 'nowhere'), join(other.path, 'keys', 'issuing-away.key'))
  const name = readdirSync(join(one.path, 'keys')).find(each => /^issuing-[0-9a-f]{16}\.key$/.test(each))!
  const [from, to] = [join(one.path, 'keys', name), join(other.path, 'keys', name)]
  writeFileSync(to, readFileSync(from, 'utf8').slice(0, 60))
  assert.equal((await b.call('GET', '/readyz')).status, 503)
  rmSync(to)
  cpSync(from, to)
  chmodSync(to, 0o644)
  await until(async () => (await b.call('GET', '/readyz')).status === 200)
  assert.deepEqual(await warnings(), [])
  assert.equal(await metric(), '0')
  assert.equal(statSync(to).mode & 0o777, 0o600)
  const issued = await b.enroll('d2')
  assert.equal(issued.issuerId, next!.id)
  const ca = new X509Certificate(readFileSync(join(other.path, 'issuing.crt')))
  await until(() => new X509Certificate(readFileSync(join(other.path, 'server.crt'))).checkIssued(ca))
  using party = relyingParty(b)
  await until(async () => {
    await Promise.all([a.running.makeCrls(), b.running.makeCrls()])
    return (await party.verify(issued)).code === 0
  })
})
