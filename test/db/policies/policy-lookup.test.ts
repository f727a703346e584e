// Which policies hold for a device: what is remembered of them is never older than the last change.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { closeRegistry } from '../../../db/index.ts'
import { openForReading, type Registry } from '../../../db/open.ts'
import { preparePolicyLookup } from '../../../db/policies/policy-lookup.ts'
import { createRoll, defaultPolicy, type Roll, tester } from '../../harness/roll.ts'

let roll: Roll
let reading: Registry
beforeEach(async () => {
  roll = await createRoll()
  reading = openForReading(`${roll.data}/registry.db`)
})
afterEach(async () => {
  await closeRegistry(reading)
  await roll.close()
})

test('says after every change what a look-up that remembers nothing says', async () => {
  const { writer, issuerId } = roll
  await roll.enroll('d1')
  await roll.enroll('d2', { groups: ['backend'] })
  const lookup = preparePolicyLookup(reading)
  const told = () => ['d1', 'd2', 'nobody'].map(id => [lookup(id, issuerId), lookup(id, null)])
  const changes = [
    () => writer.putPolicy('default', { ...defaultPolicy, statements: [] }, tester),
    () => writer.putPolicy('p', { name: 'p', statements: [] }, tester),
    () => writer.attachPolicy('p', 'device', 'd1', tester),
    () => writer.attachPolicy('p', 'issuer', issuerId, tester),
    () => writer.attachPolicy('p', 'group', 'backend', tester),
    () => writer.changeDevice('d1', { groups: ['backend', 'a "group"'], attributes: { site: 'x' } }, tester),
    () => writer.detachPolicy('backend', 'group', 'backend', tester),
    () => writer.detachPolicy('p', 'device', 'd1', tester),
    () => writer.detachPolicy('default', 'everyone', '', tester),
  ]
  for (const change of changes) {
    await change()
    const anew = preparePolicyLookup(reading)
    assert.deepEqual(
      told(),
      ['d1', 'd2', 'nobody'].map(id => [anew(id, issuerId), anew(id, null)]),
    )
  }
  assert.deepEqual(
    lookup('d1', issuerId).policies.map(({ name }) => name),
    ['p'],
  )
})

test('gives devices that hold the same policies one list of them, and each its own attributes', async () => {
  await roll.enroll('d1')
  await roll.enroll('d2')
  await roll.writer.changeDevice('d2', { attributes: { site: 'x' } }, tester)
  const lookup = preparePolicyLookup(reading)
  const [one, other] = [lookup('d1', roll.issuerId), lookup('d2', roll.issuerId)]
  assert.equal(one.policies, other.policies)
  assert.deepEqual([one.attributes, other.attributes], [{}, { site: 'x' }])
})

test('remembers nothing while the change feed cannot be read', async () => {
  await roll.enroll('d1')
  const lookup = preparePolicyLookup(reading)
  const { sqlite } = roll.registry
  const documentOf = () => lookup('d1', roll.issuerId).policies.map(({ document }) => document)
  const before = documentOf()
  sqlite.exec('ALTER TABLE changes RENAME TO lost')
  assert.deepEqual(documentOf(), before)
  sqlite.exec("UPDATE policies SET document = '{}' WHERE name = 'default'")
  assert.deepEqual(documentOf(), ['{}'])
  sqlite.exec('ALTER TABLE lost RENAME TO changes')
  assert.deepEqual(documentOf(), ['{}'])
})
