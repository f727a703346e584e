// The actor is told by a kind beside the name, so that no operator's name can imitate a part of the service: neither one that
// is chosen now nor one that an older version let in.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { readAuditKeys, verifyRegistry } from '../../../cli/audit/verify.ts'
import { GENESIS_HASH } from '../../../db/audit-chain.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import { migrate } from '../../../db/migrate.ts'
import { eventOfAuditRow } from '../../../provisioning/events/audit-row-event.ts'
import { rehash } from '../../harness/audit.ts'
import { assertProblem, startService, temporaryDirectory } from '../harness.ts'

const parts = ['broker', 'time', 'provisioning', 'system', 'engine', 'gate', 'supervisor', 'rollcall']

test('no operator and no token takes the name of a part of the service, however it is written', async () => {
  await using service = await startService()
  for (const name of [...parts, 'Broker', 'TIME', 'Admin.Token']) {
    const answer = await service.call('POST', '/v1/api-tokens', { name, role: 'operator' })
    assertProblem(answer, 409, 'operator_name_taken')
    assert.match(answer.body.detail, /reserved/)
  }
})

test('a row names the kind of its actor, and is found by it', async () => {
  await using service = await startService()
  await service.enroll('a')
  const rows = async (query: string) =>
    (await service.call('GET', `/v1/audit?limit=500&${query}`)).body.items as Record<string, string>[]
  assert.deepEqual(
    (await rows('actorKind=token')).map(({ actor, action }) => `${actor} ${action}`),
    ['certificate.issue', 'certificate.intend', 'device.add'].map(action => `admin.token ${action}`),
  )
  const all = await rows('')
  const ofService = await rows('actorKind=service')
  assert.equal(all.length, 3 + ofService.length)
  assert.ok(ofService.every(({ actor }) => ['system', 'provisioning', 'time'].includes(actor ?? '')))
  assertProblem(await service.call('GET', '/v1/audit?actorKind=broker'), 400, 'request_invalid')
})

test('an activation by an operator whose row says broker is news like any other', () => {
  const row = {
    at: 1,
    actor: 'broker',
    action: 'device.activate',
    target: 'a',
    reason: null,
    detail: {},
  } as const
  const listed = () => 'first' as const
  for (const actorKind of ['token', 'certificate', 'local'] as const)
    assert.equal(eventOfAuditRow({ ...row, actorKind }, listed)?.kind, 'activated')
  for (const actorKind of ['service', null] as const)
    assert.equal(eventOfAuditRow({ ...row, actorKind }, listed), null)
})

test('an operator of an older version that imitates a part of the service is renamed on record, and old rows still verify', async () => {
  using folder = temporaryDirectory()
  const file = join(folder.path, 'registry.db')
  const old = new Sqlite(file)
  migrate(old, 13)
  old.exec(`
    INSERT INTO api_tokens (id, name, role, hash, created_at, created_by) VALUES
      ('t1', 'broker', 'operator', 'h1', 1, 'system'), ('t2', 'operator-broker', 'viewer', 'h2', 1, 'system'),
      ('t3', 'admin.token', 'admin', 'h3', 1, 'system'), ('t4', 'Time', 'viewer', 'h4', 1, 'system');
    INSERT INTO audit (at, actor, action, target, outcome, prev_hash, hash)
      VALUES (1, 'broker', 'device.activate', 'a', 'done', '${GENESIS_HASH}', '${'0'.repeat(64)}');`)
  old.exec('DROP TRIGGER audit_rows_never_change')
  old.exec('ALTER TABLE audit ADD COLUMN actor_kind TEXT')
  rehash(old, 1)
  old.exec('ALTER TABLE audit DROP COLUMN actor_kind')
  old.close()
  assert.equal((await verifyRegistryOf(file)).outcome, 'intact')
  await closeRegistry(openForWriting(file))

  const { outcome, rows } = await verifyRegistryOf(file)
  assert.deepEqual([outcome, rows], ['intact', 3])
  const now = new Sqlite(file, { readonly: true })
  const names = now.prepare<[], string>('SELECT name FROM api_tokens ORDER BY id').pluck().all()
  assert.deepEqual(names, ['operator-broker-2', 'operator-broker', 'admin.token', 'operator-Time'])
  const told = now.prepare('SELECT actor, actor_kind, action, target, detail FROM audit ORDER BY seq').all()
  now.close()
  assert.deepEqual(told, [
    { actor: 'broker', actor_kind: null, action: 'device.activate', target: 'a', detail: '{}' },
    ...[
      ['t1', 'broker', 'operator-broker-2'],
      ['t4', 'Time', 'operator-Time'],
    ].map(([target, from, name]) => ({
      actor: 'provisioning',
      actor_kind: 'service',
      action: 'token.rename',
      target,
      detail: JSON.stringify({ from, name }),
    })),
  ])
})

const verifyRegistryOf = (file: string) => verifyRegistry(file, new Map(), () => {})

test('a kind that somebody writes into a row, or takes out of it, breaks the chain', async () => {
  for (const kind of ["'service'", 'NULL']) {
    using folder = temporaryDirectory()
    {
      await using service = await startService({ data: folder.path })
      await service.call('POST', '/v1/devices', { id: 'a' })
      await service.call('POST', '/v1/devices', { id: 'b' })
    }
    const file = join(folder.path, 'registry.db')
    const bent = new Sqlite(file)
    bent.exec('DROP TRIGGER audit_rows_never_change')
    const find = bent.prepare<[], number>("SELECT seq FROM audit WHERE action = 'device.add'").pluck()
    const seq = find.get()
    bent.exec(`UPDATE audit SET actor_kind = ${kind} WHERE seq = ${seq}`)
    bent.close()
    const { fault } = await verifyRegistry(file, readAuditKeys([join(folder.path, 'audit.pub')]), () => {})
    assert.deepEqual([fault?.kind, fault?.seq], ['changed', seq])
  }
})
