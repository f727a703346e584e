// Hands in the registry file that cut the audit log so that it looks whole: what is kept outside it tells, the service says so and
// signs nothing more, and a restore has a way to go on that is on record.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { acceptLog } from '../../../cli/audit/accept.ts'
import { readAuditKeys, verifyRegistry } from '../../../cli/audit/verify.ts'
import type { CheckContext } from '../../../cli/doctor/finding.ts'
import { checkAuditLog } from '../../../cli/doctor/registry.ts'
import { dropTriggers, verifyRegistry as verifyAlone } from '../../harness/audit.ts'
import { until } from '../../harness/until.ts'
import { type Service, startService, temporaryDirectory } from '../harness.ts'

const soon = { rows: 1_000, intervalMs: 20 }

function cut(data: string, sql: string): void {
  const sqlite = new Sqlite(join(data, 'registry.db'))
  dropTriggers(sqlite)
  sqlite.exec(sql)
  sqlite.exec(`UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(seq), 0) FROM audit) WHERE name = 'audit';
    UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(number), 0) FROM audit_checkpoints) WHERE name = 'audit_checkpoints'`)
  sqlite.close()
}

const tail = (seq: number) =>
  `DELETE FROM audit WHERE seq > ${seq}; DELETE FROM audit_checkpoints WHERE seq > ${seq}`
const all = 'DELETE FROM audit; DELETE FROM audit_checkpoints'

const later = () => Date.now() + 60_000

const gauge = async (service: Service, name: string) =>
  new RegExp(`^${name} (\\d)$`, 'm').exec(await service.running.metrics())?.[1]
const keys = (data: string) => readAuditKeys([join(data, 'audit.pub')])
const verified = (data: string) =>
  verifyRegistry(join(data, 'registry.db'), keys(data), () => {}, {
    file: join(data, 'audit.checkpoint'),
    needed: false,
  })
const sealedThrough = (data: string): number => {
  const sqlite = new Sqlite(join(data, 'registry.db'), { readonly: true })
  const seq = sqlite.prepare<[], number>('SELECT max(seq) FROM audit_checkpoints').pluck().get()!
  sqlite.close()
  return seq
}
const checkpoints = (data: string): number => {
  const sqlite = new Sqlite(join(data, 'registry.db'), { readonly: true })
  const count = sqlite.prepare<[], number>('SELECT count(*) FROM audit_checkpoints').pluck().get()!
  sqlite.close()
  return count
}

/** A data directory with devices, several checkpoints, and the row before which the log is cut. */
async function filled(data: string): Promise<number> {
  {
    await using service = await startService({ data, sealing: soon })
    await service.call('POST', '/v1/devices', { id: 'before' })
  }
  const seq = sealedThrough(data)
  // What comes now is not of the same moment as what stays.
  await using service = await startService({ data, sealing: soon, now: later })
  await service.enroll('hidden')
  return seq
}

async function assertSaid(data: string, words: RegExp): Promise<void> {
  const signed = checkpoints(data)
  await using service = await startService({ data, sealing: soon, now: () => Date.now() + 120_000 })
  await until(async () => (await gauge(service, 'rollcall_audit_tampered')) === '1')
  const { body } = await service.call('GET', '/readyz')
  assert.deepEqual(body, { status: 'ready', warnings: ['audit_tampered'] })
  await service.call('POST', '/v1/devices', { id: 'later' })
  const verification = (await service.call('GET', '/v1/audit/verification')).body
  assert.equal(verification.outcome, 'tampered')
  assert.match(verification.fault.message, words)
  await until(
    async () => (await service.call('GET', '/v1/events?kind=audit_tampered')).body.items.length === 1,
  )
  await service[Symbol.asyncDispose]()
  assert.equal(checkpoints(data), signed, 'nothing is signed any more')
}

const cuts: [what: string, sql: (seq: number) => string, fileToo: boolean, words: RegExp][] = [
  [
    'rows and checkpoints from one on, and the counts set back',
    tail,
    false,
    /the log ends at row \d+, but checkpoint \d+ in .*audit\.checkpoint covers row \d+/,
  ],
  ['everything', () => all, false, /the log ends at row 0, but checkpoint \d+ in .*audit\.checkpoint covers/],
  [
    'the tail, and the file of the checkpoint with it',
    tail,
    true,
    /no row tells of the (device|certificate|change)/,
  ],
  ['everything, and the file', () => all, true, /no row tells of the (device|certificate|change)/],
]

for (const [what, sql, fileToo, words] of cuts) {
  test(`a log cut behind the back of the service is said aloud and not signed: ${what}`, async () => {
    using folder = temporaryDirectory()
    const data = folder.path
    const seq = await filled(data)
    assert.equal((await verified(data)).outcome, 'intact')
    cut(data, sql(seq))
    if (fileToo) rmSync(join(data, 'audit.checkpoint'))
    assert.equal(
      (await verifyAlone(join(data, 'registry.db'), keys(data))).outcome,
      'intact',
      'the file alone looks whole',
    )
    const { outcome, fault } = await verified(data)
    assert.equal(outcome, 'tampered')
    assert.match(fault?.message ?? '', words)
    const [seen] = checkAuditLog({ data, env: {} } as CheckContext)
    assert.equal(seen?.verdict, fileToo ? (sql(seq) === all ? 'ok' : 'warn') : 'fail')
    await assertSaid(data, words)
  })
}

test('a log that is cut while the service runs, its file with it, is missed from memory', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  await using service = await startService({ data, sealing: soon })
  const seq = (await service.call('GET', '/v1/audit/verification')).body.lastSeq
  await service.call('POST', '/v1/devices', { id: 'hidden' })
  await until(async () => (await service.call('GET', '/v1/audit/verification')).body.unsealedRows === 0)
  cut(data, tail(seq))
  rmSync(join(data, 'audit.checkpoint'), { force: true })
  await until(async () => (await gauge(service, 'rollcall_audit_tampered')) === '1')
})

test('a log that went on after it was cut has another row where the kept checkpoint had one', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  const seq = await filled(data)
  const file = join(data, 'audit.checkpoint')
  const kept = readFileSync(file)
  cut(data, tail(seq))
  rmSync(file)
  {
    await using service = await startService({ data, sealing: { rows: 1e9, intervalMs: 3_600_000 } })
    for (let i = 0; i < 20; i += 1) await service.call('POST', '/v1/devices', { id: `d${i}` })
  }
  writeFileSync(file, kept)
  assert.match((await verified(data)).fault?.message ?? '', /is not the one that checkpoint \d+ in .* covers/)
})

test('a lost or unreadable file alone stops nothing: it is made anew, on the disk that the setting names', async () => {
  using folder = temporaryDirectory()
  const [data, other] = [join(folder.path, 'data'), join(folder.path, 'other')]
  mkdirSync(other)
  const auditCheckpointFile = join(other, 'kept')
  const options = { data, auditCheckpointFile, sealing: soon }
  await (await startService(options))[Symbol.asyncDispose]()
  assert.equal(existsSync(join(data, 'audit.checkpoint')), false)
  for (const spoil of [() => rmSync(auditCheckpointFile), () => writeFileSync(auditCheckpointFile, 'x')]) {
    spoil()
    await using service = await startService(options)
    assert.equal(await gauge(service, 'rollcall_audit_tampered'), '0')
    assert.match(readFileSync(auditCheckpointFile, 'utf8'), /^\{"checkpoint":\{"number":\d+/)
  }
  rmSync(other, { recursive: true })
  await using service = await startService(options)
  await service.call('POST', '/v1/devices', { id: 'a' })
  await until(async () => (await service.call('GET', '/v1/audit/verification')).body.unsealedRows === 0)
  assert.equal(await gauge(service, 'rollcall_audit_checkpoint_file'), '0')
})

test('after a restore an operator accepts the shorter log, which is a row of it, and the service signs again', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  const [registry, file] = [join(data, 'registry.db'), join(data, 'audit.checkpoint')]
  {
    await using service = await startService({ data, sealing: soon })
    await service.call('POST', '/v1/devices', { id: 'a' })
  }
  copyFileSync(registry, join(data, 'backup.db'))
  {
    await using service = await startService({ data, sealing: soon })
    await service.call('POST', '/v1/devices', { id: 'b' })
    await assert.rejects(acceptLog(data, file, 'x'), /the provisioning service runs/)
  }
  assert.equal((await acceptLog(data, file, 'x')).accepted, false, 'nothing to accept')
  copyFileSync(join(data, 'backup.db'), registry)
  assert.equal((await verified(data)).outcome, 'tampered')
  const accepted = await acceptLog(data, file, 'restored from backup.db')
  assert.equal(accepted.accepted, true)
  assert.ok(existsSync(accepted.setAside ?? ''))
  assert.equal((await verified(data)).outcome, 'intact')
  await using service = await startService({ data, sealing: soon })
  await service.call('POST', '/v1/devices', { id: 'c' })
  await until(async () => (await service.call('GET', '/v1/audit/verification')).body.unsealedRows === 0)
  const [row] = (await service.call('GET', '/v1/audit?action=audit.accept')).body.items
  assert.equal(row.actorKind, 'local')
  assert.equal(row.detail.why, 'restored from backup.db')
  assert.match(row.detail.fault, /the log ends at row \d+, but checkpoint/)
})

test('a log that was bent is not accepted', async () => {
  using folder = temporaryDirectory()
  const data = folder.path
  await (await startService({ data, sealing: soon }))[Symbol.asyncDispose]()
  cut(data, "UPDATE audit SET actor = 'eve' WHERE seq = 2")
  await assert.rejects(acceptLog(data, join(data, 'audit.checkpoint'), 'x'), /was tampered with/)
})
