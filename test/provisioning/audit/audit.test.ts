// The audit log over the API, the checkpoints the service signs, and what it does when somebody bent the log.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { auditKeys } from '../../../db/audit/audit-checkpoint.ts'
import { dropTriggers, verifyRegistry } from '../../harness/audit.ts'
import { until } from '../../harness/until.ts'
import { type Answer, assertProblem, type Service, startService, temporaryDirectory } from '../harness.ts'

const atOnce = { rows: 1, intervalMs: 20 }
const never = { rows: 1e9, intervalMs: 3_600_000 }

const verification = async (service: Service) => (await service.call('GET', '/v1/audit/verification')).body
const sealed = async (service: Service) => (await verification(service)).unsealedRows === 0
const verified = (directory: string) =>
  verifyRegistry(
    join(directory, 'registry.db'),
    auditKeys(readFileSync(join(directory, 'audit.pub'), 'utf8')),
  )
const tampered = async (service: Service) =>
  /^rollcall_audit_tampered (\d)$/m.exec(await service.running.metrics())?.[1]

function bend(service: Service, sql: string): void {
  const sqlite = new Sqlite(join(service.directory, 'registry.db'))
  dropTriggers(sqlite)
  sqlite.exec(sql)
  sqlite.close()
}

test('a change is found with its caller and request, newest first, page by page', async () => {
  await using service = await startService()
  const requests: (string | undefined)[] = []
  for (const id of ['a', 'b', 'c'])
    requests.push((await service.call('POST', '/v1/devices', { id })).headers['x-request-id'])
  const { body } = await service.call('GET', '/v1/audit?action=device.add')
  assert.deepEqual(
    body.items.map(({ actor, action, target, outcome, requestId }: Record<string, string>) => [
      actor,
      action,
      target,
      outcome,
      requestId,
    ]),
    ['c', 'b', 'a'].map((id, at) => ['admin.token', 'device.add', id, 'done', requests[2 - at]]),
  )
  assert.equal(body.nextCursor, null)
  assert.match(body.items[0].ts, /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/)

  const targets: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const more = cursor === '' ? '' : `&cursor=${cursor}`
    const page: Answer = await service.call('GET', `/v1/audit?order=oldest&limit=2&action=device.*${more}`)
    targets.push(...page.body.items.map(({ target }: { target: string }) => target))
    cursor = page.body.nextCursor
  }
  assert.deepEqual(targets, ['a', 'b', 'c'])
  const last = body.items[0]
  const following = async (after: number) =>
    (await service.call('GET', `/v1/audit?after=${after}&order=oldest`)).body.items
  assert.deepEqual(await following(last.seq), [])
  assert.deepEqual(await following(last.seq - 1), [last])
  const before = (await service.call('GET', `/v1/audit?until=${last.ts}&since=${last.ts}`)).body
  assert.deepEqual(before.items, [])
  const since = (await service.call('GET', `/v1/audit?since=${last.ts}`)).body
  assert.deepEqual(since.items[0], last)
})

test('a filter that is none, a cursor that is none and a stranger are refused', async () => {
  await using service = await startService()
  for (const query of [
    'action=add',
    'since=yesterday',
    'order=random',
    'limit=0',
    'after=-1',
    'who=me',
    'target=',
  ])
    assertProblem(await service.call('GET', `/v1/audit?${query}`), 400, 'request_invalid')
  assertProblem(await service.call('GET', '/v1/audit?cursor=MDA'), 400, 'cursor_invalid')
  for (const path of ['/v1/audit', '/v1/audit/verification'])
    assertProblem(await service.call('GET', path, undefined, { token: null }), 401, 'token_missing')
})

test('rows are signed after so many or so long, and what is left when the service stops', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  {
    await using service = await startService({ data, sealing: atOnce })
    await until(() => sealed(service))
    await service.call('POST', '/v1/devices', { id: 'a' })
    await until(() => sealed(service))
    const { outcome, checkpoints } = await verification(service)
    assert.equal(outcome, 'intact')
    assert.ok(checkpoints >= 2)
    assert.match(
      await service.running.metrics(),
      new RegExp(`rollcall_audit_checkpoints_total ${checkpoints}`),
    )
  }
  {
    await using service = await startService({ data, sealing: never })
    await service.call('POST', '/v1/devices', { id: 'b' })
  }
  const { outcome, unsealedRows, sealedThrough, lastSeq } = await verified(data)
  assert.deepEqual([outcome, unsealedRows, sealedThrough], ['intact', 0, lastSeq])
})

test('a backlog gets a checkpoint for each so many rows', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  await using service = await startService({ data, sealing: { rows: 4, intervalMs: 3_600_000 } })
  for (let i = 0; i < 9; i += 1) await service.call('POST', '/v1/devices', { id: `d${i}` })
  await service[Symbol.asyncDispose]()
  const sqlite = new Sqlite(join(data, 'registry.db'), { readonly: true })
  const seqs = sqlite.prepare<[], number>('SELECT seq FROM audit_checkpoints ORDER BY number').pluck().all()
  sqlite.close()
  const steps = seqs.map((seq, at) => seq - (seqs[at - 1] ?? 0))
  assert.ok(steps.length > 3 && steps.every(step => step >= 1 && step <= 4), steps.join())
  assert.equal((await verified(data)).unsealedRows, 0)
})

for (const [what, sql] of [
  ['a row that waits was changed', "UPDATE audit SET actor = 'eve' WHERE seq = (SELECT max(seq) FROM audit)"],
  ['rows that wait were removed', 'DELETE FROM audit WHERE seq > (SELECT max(seq) FROM audit_checkpoints)'],
  ['rows that were signed were removed', 'DELETE FROM audit WHERE seq > 2'],
  ['the last checkpoint was changed', 'UPDATE audit_checkpoints SET at = 1'],
] as const) {
  test(`nothing is signed any more, and it shows, where ${what}`, async () => {
    using folder = temporaryDirectory()
    const data = folder.path
    {
      await using first = await startService({ data, sealing: never })
      await first.call('GET', '/livez')
    }
    await using service = await startService({ data, sealing: { rows: 1_000, intervalMs: 50 } })
    await until(() => sealed(service))
    await service[Symbol.asyncDispose]()
    await using later = await startService({ data, sealing: never })
    await later.call('POST', '/v1/devices', { id: 'a' })
    const before = await verification(later)
    assert.deepEqual([before.outcome, before.unsealedRows > 0], ['intact', true])
    bend(later, sql)
    const { outcome, fault, checkpoints } = await verification(later)
    assert.equal(outcome, 'tampered')
    assert.ok(fault.seq >= 1 && fault.message)
    await later[Symbol.asyncDispose]()
    assert.equal(await tampered(later), '1')
    const after = await verified(data)
    assert.deepEqual([after.outcome, after.checkpoints <= checkpoints], ['tampered', true])
    assert.deepEqual(after.fault, fault)
  })
}

test('the key is 0600, made once, and its public half is written again where it is lost', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  const [key, publicKey] = [join(data, 'keys/audit.key'), join(data, 'audit.pub')]
  await (await startService({ data }))[Symbol.asyncDispose]()
  assert.equal(statSync(key).mode & 0o777, 0o600)
  const [secret, shown] = [readFileSync(key, 'utf8'), readFileSync(publicKey, 'utf8')]
  assert.match(shown, /^-----BEGIN PUBLIC KEY-----/)
  rmSync(publicKey)
  await (await startService({ data }))[Symbol.asyncDispose]()
  assert.deepEqual([readFileSync(key, 'utf8'), readFileSync(publicKey, 'utf8')], [secret, shown])
})

test('a lost key stops the start and says what to do; with the public key put aside a new one begins', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  const [key, publicKey] = [join(data, 'keys/audit.key'), join(data, 'audit.pub')]
  await (await startService({ data }))[Symbol.asyncDispose]()
  rmSync(key)
  await assert.rejects(startService({ data }), /audit\.key is missing .*restore it from a backup/)
  assert.equal(existsSync(key), false)
  renameSync(publicKey, join(data, 'audit-old.pub'))
  await (await startService({ data }))[Symbol.asyncDispose]()
  const pems = ['audit-old.pub', 'audit.pub'].map(name => readFileSync(join(data, name), 'utf8'))
  const both = await verifyRegistry(join(data, 'registry.db'), auditKeys(...pems))
  assert.equal(both.outcome, 'intact')
  assert.match((await verified(data)).fault?.message ?? '', /checkpoint 1 is signed by the key/)
  writeFileSync(publicKey, pems[0]!)
  await assert.rejects(startService({ data }), /audit\.key is not the key of .*audit\.pub/)
})
