// Policies in the record: versions, attachments, and that a change is one with its audit row and its epoch.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { closeRegistry } from '../../../db/index.ts'
import { openForNotes, openForReading } from '../../../db/open.ts'
import { createPolicyReader, type PolicyReader } from '../../../db/policies/policy-reader.ts'
import { createRoll, type Roll, tester } from '../../harness/roll.ts'

let roll: Roll
let reader: PolicyReader
beforeEach(async () => {
  roll = await createRoll()
  reader = createPolicyReader(roll.registry)
})
afterEach(() => roll.close())

const rows = () =>
  ['audit', 'changes', 'policies', 'policy_attachments'].map(
    table => roll.registry.sqlite.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number,
  )
const lastChange = () =>
  roll.registry.sqlite.prepare('SELECT kind, device_id FROM changes ORDER BY epoch DESC LIMIT 1').get()
const put = (statements: unknown[], expected?: string | null) =>
  roll.writer.putPolicy('p', { name: 'p', statements }, tester, expected)

test('a policy is replaced only in the version that is expected', async () => {
  await put([], null)
  await assert.rejects(put([1], null), { code: 'policy_changed' })
  await assert.rejects(put([1], 'another'), { code: 'policy_changed' })
  const { version } = reader.policy('p')!
  await put([1], version)
  await assert.rejects(put([2], version), { code: 'policy_changed' })
  assert.equal(reader.policy('p')?.document, '{"name":"p","statements":[1]}')
})

test('of two that replace the same version at the same time one is refused', async () => {
  await put([])
  const { version } = reader.policy('p')!
  const outcomes = await Promise.allSettled([put([1], version), put([2], version)])
  assert.deepEqual(outcomes.map(outcome => outcome.status).sort(), ['fulfilled', 'rejected'])
})

test('what changes nothing writes nothing and gives an epoch that brokers know', async () => {
  const epoch = await put([])
  await roll.writer.attachPolicy('p', 'group', 'g', tester)
  const before = rows()
  const latest = await put([])
  assert.ok(latest > epoch)
  assert.equal(await roll.writer.attachPolicy('p', 'group', 'g', tester), latest)
  assert.deepEqual(rows(), before)
})

test('detaching and deleting write one audit row and one change row, or nothing at all', async () => {
  await roll.enroll('d1')
  await put([])
  await roll.writer.attachPolicy('p', 'device', 'd1', tester)
  const steps = [
    () => roll.writer.detachPolicy('p', 'device', 'd1', tester),
    () => roll.writer.deletePolicy('p', tester),
  ]
  await assert.rejects(steps[1]!(), { code: 'policy_attached' })
  for (const [at, step] of steps.entries()) {
    const before = rows()
    roll.registry.sqlite.exec(
      "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no audit') ; END",
    )
    await assert.rejects(step(), /no audit/)
    roll.registry.sqlite.exec('DROP TRIGGER full')
    assert.deepEqual(rows(), before)
    await step()
    const expected = [before[0]! + 1, before[1]! + 1, before[2]! - at, before[3]! - (1 - at)]
    assert.deepEqual(rows(), expected)
    assert.deepEqual(lastChange(), { kind: 'policy', device_id: at === 0 ? 'd1' : null })
    await assert.rejects(step(), { code: at === 0 ? 'attachment_unknown' : 'policy_unknown' })
  }
})

test('a policy is not attached to a device that does not exist', async () => {
  await assert.rejects(roll.writer.attachPolicy('default', 'device', 'x', tester), { code: 'device_unknown' })
  await assert.rejects(roll.writer.attachPolicy('default', 'issuer', 'x', tester), { code: 'issuer_unknown' })
  await roll.writer.attachPolicy('default', 'issuer', roll.issuerId, tester)
})

test('a holder is a device with the newest certificate that admits, or the one named', async () => {
  const { fingerprint } = await roll.enroll('d1', { groups: ['g'] })
  assert.equal(reader.holder('x'), null)
  assert.equal(reader.holder('d1')?.certificate?.fingerprint, fingerprint)
  await roll.writer.revokeCertificate(fingerprint, 'unspecified', tester)
  assert.equal(reader.holder('d1')?.certificate, null)
  assert.equal(reader.holder('d1', fingerprint)?.certificate?.issuerId, roll.issuerId)
  assert.deepEqual(reader.holder('d1')?.groups, ['g'])
})

test('subscriptions are noted up to a bound per session, and are nobody’s once their broker is gone', async () => {
  const { fingerprint } = await roll.enroll('d1')
  const registry = openForNotes(`${roll.data}/registry.db`)
  const notes = createBrokerNotes(registry)
  const many = Array.from({ length: 101 }, (_, at) => `devices/d1/${at}`)
  notes.enter('n1', 0, 0)
  notes.subscriptions('n1', [{ deviceId: 'd1', fingerprint, filters: many.slice(1) }])
  assert.equal(reader.subscriptions('d1')[0]?.complete, true)
  notes.subscriptions('n1', [{ deviceId: 'd1', fingerprint, filters: many }])
  const [session] = reader.subscriptions('d1')
  assert.deepEqual([session?.filters.length, session?.complete], [100, false])
  notes.subscriptions('ghost', [{ deviceId: 'd1', fingerprint, filters: ['x'] }])
  assert.equal(reader.subscriptions('d1')[0]?.filters.length, 100, 'a node that is not there has no sessions')
  notes.enter('n1', 0, 0)
  assert.deepEqual(reader.subscriptions('d1'), [])
  await closeRegistry(registry)
})

test('what is read of the policies, and of a device, is of one moment while others write', async () => {
  await roll.writer.addDevice({ id: 'd1', attributes: { site: 'before' }, groups: ['before'] }, tester)
  await put([])
  await roll.writer.attachPolicy('p', 'device', 'd1', tester)
  const reading = openForReading(roll.registry.file)
  const prepare = reading.sqlite.prepare.bind(reading.sqlite)
  // Another connection writes between the first and the second statement.
  const second = /SELECT policy_name AS policy|SELECT name FROM device_groups/
  let write = () => {}
  reading.sqlite.prepare = ((sql: string) => {
    const statement = prepare(sql)
    const all = statement.all.bind(statement)
    if (second.test(sql)) {
      statement.all = (...values: unknown[]) => {
        write()
        return all(...values)
      }
    }
    return statement
  }) as typeof prepare
  const interrupted = createPolicyReader(reading)
  const written: string[] = []
  write = () => {
    for (const sql of [
      "UPDATE device_groups SET name = 'after' WHERE device_id = 'd1'",
      "DELETE FROM policy_attachments WHERE policy_name = 'p'",
    ]) {
      roll.registry.sqlite.exec(sql)
      written.push(sql)
    }
  }
  assert.deepEqual(interrupted.holder('d1')?.groups, ['before'])
  assert.equal(written.length, 2)
  await roll.writer.attachPolicy('p', 'device', 'd1', tester)
  assert.deepEqual(interrupted.snapshot().attached.get('device d1'), ['p'])
  assert.equal(written.length, 4)
  assert.equal(reader.snapshot().attached.get('device d1'), undefined)
  await closeRegistry(reading)
})
