// What a broker notes that is taken over: whatever it writes as notes, others' notes are written, and a suspended device stays suspended.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { noteCalls } from '../../../db/replication/note-calls.ts'
import { startNoteRunner } from '../../../db/replication/note-runner.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

const odd: readonly unknown[] = [
  ...[null, true, -1, 2 ** 60, 1e308, '', '\u0000', 'd1', 'x'.repeat(100_000), [], {}, [[]], [null], [{}]],
  ...[{ $base64: 'AA==' }, [{ $base64: '' }], { length: 1e9 }, [{ deviceId: 'd1', at: 'x', index: {} }]],
]
const texts = [
  '',
  '{',
  'null',
  '{}',
  '1',
  '[',
  '{"length":1e9}',
  '{"__proto__":[]}',
  '[{"__proto__":{"a":1}}]',
]

test('notes of any shape hold up none that come after them, and a suspended device stays so', async () => {
  const server = await startPostgres()
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-hostile-'))
  const settings = readPostgresSettings(server.url)
  const onFailed = (error: unknown) => assert.fail(String(error))
  const shared = await openSharedRegistry({
    settings,
    file: join(directory, 'one.db'),
    name: 'one',
    onFailed,
  })
  const { registry, agreement } = shared
  const writer = createRegistryWriter(registry)
  await writer.addDevice({ id: 'd1', attributes: {}, groups: [] }, tester)
  await writer.setDeviceState('d1', 'suspended', tester)
  let refused = 0
  const runner = startNoteRunner({
    ...{ settings, name: 'one', registry, endNotes: agreement.endNotes, leads: () => true },
    onFailed: () => {
      refused += 1
    },
  })
  try {
    const state = () => JSON.stringify(registry.sqlite.prepare('SELECT id, state FROM devices').all())
    const before = state()
    const notes: [call: string, text: string][] = []
    for (const call of [...noteCalls, '', 'constructor', '__proto__', 'toString', 'addDevice']) {
      for (const text of texts) notes.push([call, text])
      for (const value of odd)
        for (const given of [[value], ['b', value], ['b', 1, value], [value, value, value, value]])
          notes.push([call, JSON.stringify(given)])
    }
    notes.push(['enter', '["last",0,1]'])
    await server.query(
      "INSERT INTO rollcall.broker_notes (node, version, call, arguments) SELECT 'b', 'b', * FROM unnest($1::text[], $2::text[])",
      [notes.map(([call]) => call), notes.map(([, text]) => text)],
    )
    const entered = registry.sqlite.prepare("SELECT count(*) FROM nodes WHERE id = 'last'").pluck()
    await until(() => entered.get() === 1)
    assert.deepEqual(await server.query('SELECT count(*) FROM rollcall.broker_notes'), [{ count: '0' }])
    assert.ok(refused > 100, String(refused))
    assert.equal(state(), before)
    await writer.addDevice({ id: 'd2', attributes: {}, groups: [] }, tester)
  } finally {
    await runner.stop()
    await shared.close()
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
