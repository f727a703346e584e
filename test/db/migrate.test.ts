// Opening a registry: made where there is none, left alone where it is current, refused where it is not ours.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry } from '../../db/index.ts'
import { beginIntegrityCheck } from '../../db/integrity-check.ts'
import { schemaVersion } from '../../db/migrate.ts'
import { assertIntegrity, backup, openForNotes, openForReading, openForWriting } from '../../db/open.ts'
import { prepareLastSeen } from '../../db/roll/last-seen.ts'
import { createRollReader } from '../../db/roll/roll-reader.ts'
import { makeOlderRegistry } from '../harness/older-registry.ts'
import { createRoll, tester } from '../harness/roll.ts'

let directory: string
let file: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rollcall-db-'))
  file = join(directory, 'registry.db')
})
afterEach(() => rmSync(directory, { recursive: true }))

/** Makes a registry and closes it, so that all of it lies in one file. */
async function make(): Promise<void> {
  await closeRegistry(openForWriting(file))
}

function withSqlite(work: (sqlite: Sqlite.Database) => void): void {
  const sqlite = new Sqlite(file)
  work(sqlite)
  sqlite.close()
}

const openers = { openForReading, openForNotes, openForWriting }

test('makes a registry that only its owner may read, and opens it again without a change', async () => {
  await make()
  assert.equal(statSync(file).mode & 0o777, 0o600)
  const bytes = readFileSync(file)
  await make()
  await closeRegistry(openForReading(file))
  assert.deepEqual(readFileSync(file), bytes)
})

test('writers wait for the disk, hold foreign keys and undo in memory; the journal is a write-ahead log', async () => {
  const registry = openForWriting(file)
  const pragma = (name: string) => registry.sqlite.pragma(name, { simple: true })
  const names = ['journal_mode', 'synchronous', 'foreign_keys', 'temp_store']
  assert.deepEqual(names.map(pragma), ['wal', 2, 1, 2])
  await closeRegistry(registry)
})

for (const [name, open] of Object.entries(openers)) {
  test(`${name} refuses a registry of a newer version and leaves it as it is`, async () => {
    await make()
    withSqlite(sqlite => sqlite.pragma(`user_version = ${schemaVersion + 1}`))
    const bytes = readFileSync(file)
    assert.throws(() => open(file), { name: 'RegistryError', code: 'registry_newer' })
    if (name !== 'openForWriting') assert.deepEqual(readFileSync(file), bytes)
  })

  test(`${name} refuses a SQLite file that is no registry, and changes no table of it`, () => {
    withSqlite(sqlite => sqlite.exec('CREATE TABLE theirs (x)'))
    assert.throws(() => open(file), { code: 'registry_foreign' })
    withSqlite(sqlite =>
      assert.deepEqual(sqlite.prepare('SELECT name FROM sqlite_schema').pluck().all(), ['theirs']),
    )
  })

  test(`${name} refuses a file that is no database and says what to do`, () => {
    writeFileSync(file, 'not a database at all, but long enough to be read as one. '.repeat(100))
    assert.throws(
      () => open(file),
      error => {
        const { code, message } = error as { code: string; message: string }
        return code === 'registry_corrupt' && message.includes(file) && message.includes('restore a backup')
      },
    )
  })
}

test('only a writer makes a registry; a reader names the file that is missing', () => {
  for (const open of [openForReading, openForNotes]) {
    assert.throws(() => open(file), { code: 'registry_missing', message: new RegExp(file) })
  }
})

test('readers refuse an outdated schema and wait for the writer to bring it up', async () => {
  withSqlite(sqlite => sqlite.pragma(`application_id = ${0x524f4c4c}`))
  assert.throws(() => openForReading(file), { code: 'registry_outdated' })
  await make()
  await closeRegistry(openForReading(file))
})

test('damage inside is found by the integrity check', async () => {
  const roll = await createRoll()
  for (let i = 0; i < 30; i += 1) await roll.enroll(`d${i}`)
  await backup(roll.registry, file)
  await roll.close()
  const bytes = readFileSync(file)
  for (let at = 3 * 4096; at < bytes.length; at += 4096) bytes.fill(0xa5, at, at + 200)
  writeFileSync(file, bytes)
  const registry = openForReading(file)
  assert.throws(() => assertIntegrity(registry), { code: 'registry_corrupt' })
  assert.throws(() => beginIntegrityCheck(registry, () => {}), { code: 'registry_corrupt' })
  // A large one is checked beside the service.
  const beside = await new Promise<string>(resolve => beginIntegrityCheck(registry, resolve, 0))
  assert.match(beside, /damaged.*: restore a backup/)
  await closeRegistry(registry)
})

test('a backup is whole, is 0600, is taken while others write, and never overwrites', async () => {
  const roll = await createRoll()
  const copy = join(directory, 'copy.db')
  const writing = Promise.all([roll.enroll('d1'), roll.enroll('d2')])
  const { bytes } = await backup(roll.registry, copy)
  await writing
  assert.equal(statSync(copy).size, bytes)
  assert.equal(statSync(copy).mode & 0o777, 0o600)
  await assert.rejects(backup(roll.registry, copy), /exists already/)
  const registry = openForReading(copy)
  assertIntegrity(registry)
  await closeRegistry(registry)
  await roll.close()
})

/** The migrations up to 0027. */
const BEFORE_LAST_SEEN = 20

test('a device of an earlier schema was seen when its certificate was first used, and has that certificate', async () => {
  const roll = await createRoll()
  const { fingerprint } = await roll.enroll('used')
  await roll.enroll('unused')
  await roll.writer.addDevice({ id: 'bare', attributes: {}, groups: [] }, tester)
  const at = Date.now()
  createBrokerNotes(roll.registry).uses([{ fingerprint, deviceId: 'used', at }])
  makeOlderRegistry(`${roll.data}/registry.db`, file, BEFORE_LAST_SEEN)
  await roll.close()
  const registry = openForWriting(file)
  const seen = prepareLastSeen(registry.sqlite).ofDevice
  assert.deepEqual(
    ['used', 'unused', 'bare'].map(id => seen(id, at)?.connectedAt ?? null),
    [at, null, null],
  )
  const reader = createRollReader(registry)
  const shown = await Promise.all(['used', 'unused', 'bare'].map(id => reader.device(id)))
  assert.deepEqual(
    shown.map(device => device?.certificate?.status ?? null),
    ['active', 'issued', null],
  )
  await closeRegistry(registry)
})
