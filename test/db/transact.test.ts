// Verbs that come together share a transaction: each is whole or not at all, and answered when it is on disk.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { closeRegistry, createRegistryWriter, openForWriting } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import { Conflict, transact } from '../../db/transact.ts'

const actor = { name: 'test', kind: 'local' } as const
const device = (id: string) => ({ id, attributes: {}, groups: [] })

/** From now on no time passes in this test: what comes together goes together, however busy the machine is. */
function stopTime(t: TestContext): void {
  t.mock.method(performance, 'now', () => 0)
}

async function withRegistry(
  work: (registry: ReturnType<typeof openForWriting>, file: string) => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-transact-'))
  const registry = openForWriting(join(directory, 'registry.db'))
  try {
    await work(registry, join(directory, 'registry.db'))
  } finally {
    await closeRegistry(registry)
    rmSync(directory, { recursive: true })
  }
}

test('verbs that come together share commits, and the audit chain names each in order', t =>
  withRegistry(async (registry, file) => {
    stopTime(t)
    const writer = createRegistryWriter(registry)
    const reading = openForReading(file)
    const version = () => reading.sqlite.pragma('data_version', { simple: true }) as number
    let commits = 0
    let seen = version()
    const looks = setInterval(() => {
      commits += version() === seen ? 0 : 1
      seen = version()
    }, 0)
    await Promise.all(
      Array.from({ length: 200 }, (_, index) => writer.addDevice(device(`d-${index}`), actor)),
    )
    clearInterval(looks)
    const targets = reading.sqlite
      .prepare(`SELECT target FROM audit WHERE action = 'device.add' ORDER BY seq`)
      .pluck()
      .all()
    await closeRegistry(reading)
    assert.deepEqual(
      targets,
      Array.from({ length: 200 }, (_, index) => `d-${index}`),
    )
    assert.ok(commits <= 2, `${commits} commits were seen`)
  }))

test('one that refuses writes nothing, and its neighbours are written all the same', () =>
  withRegistry(async registry => {
    const writer = createRegistryWriter(registry)
    const refused = transact(registry, async transaction => {
      await transaction
        .insertInto('devices')
        .values({ id: 'half', state: 'registered', attributes: '{}', created_at: 0, updated_at: 0 })
        .execute()
      throw new Conflict('device_exists', 'changed its mind')
    })
    const outcomes = await Promise.allSettled([
      writer.addDevice(device('before'), actor),
      refused,
      writer.addDevice(device('before'), actor),
      writer.addDevice(device('after'), actor),
    ])
    assert.deepEqual(
      outcomes.map(outcome => (outcome.status === 'rejected' ? outcome.reason.code : outcome.status)),
      ['fulfilled', 'device_exists', 'device_exists', 'fulfilled'],
    )
    const ids = registry.sqlite.prepare('SELECT id FROM devices ORDER BY id').pluck().all()
    assert.deepEqual(ids, ['after', 'before'])
  }))

test('a verb begun from the answer of another is run', () =>
  withRegistry(async registry => {
    const writer = createRegistryWriter(registry)
    for (let index = 0; index < 20; index += 1) {
      await Promise.all([
        writer
          .addDevice(device(`a-${index}`), actor)
          .then(() => writer.addDevice(device(`b-${index}`), actor)),
        writer.addDevice(device(`c-${index}`), actor),
      ])
    }
    assert.equal(registry.sqlite.prepare('SELECT count(*) FROM devices').pluck().get(), 60)
  }))

test('a full disk is told to every caller that shared the transaction, and the next change is written', t =>
  withRegistry(async registry => {
    stopTime(t)
    const writer = createRegistryWriter(registry)
    await writer.addDevice(device('first'), actor)
    const pages = registry.sqlite.pragma('page_count', { simple: true })
    registry.sqlite.pragma(`max_page_count = ${pages}`)
    const attributes = { note: 'x'.repeat(20_000) }
    const outcomes = await Promise.allSettled([
      writer.addDevice(device('small'), actor),
      writer.addDevice({ ...device('large'), attributes }, actor),
    ])
    assert.deepEqual(
      outcomes.map(outcome => outcome.status === 'rejected' && outcome.reason.code),
      ['registry_full', 'registry_full'],
    )
    registry.sqlite.pragma('max_page_count = 1000000')
    await writer.addDevice(device('small'), actor)
    const ids = registry.sqlite.prepare('SELECT id FROM devices ORDER BY id').pluck().all()
    assert.deepEqual(ids, ['first', 'small'])
  }))
