// The clock of a running service is set by years (libfaketime): what time does is made up for, and nothing crashes.
import assert from 'node:assert/strict'
import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { startUp, temporaryDirectory, until } from '../cli/running.ts'

const library = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0]

test('a clock that jumps while running: grace ends, renewals lapse, and back again nothing returns', {
  skip: library === undefined && 'libfaketime is not installed',
}, async () => {
  using world = temporaryDirectory()
  const at = (...names: string[]) => join(world.path, ...names)
  const offset = at('offset')
  writeFileSync(offset, '+0')
  const env = {
    ...process.env,
    LD_PRELOAD: library!,
    FAKETIME_TIMESTAMP_FILE: offset,
    FAKETIME_NO_CACHE: '1',
    // Timers keep their pace, as they do when somebody sets a clock.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  }
  mkdirSync(at('devices'))
  await using up = await startUp(at('data'), [], { env })
  const enroll = async (id: string, out: string) => {
    await up.run('device', 'add', id)
    const ran = await up.run('device', 'enroll', id, '--out', at('devices', out), '-o', 'json')
    assert.equal(ran.code, 0, ran.stderr)
    return JSON.parse(ran.stdout).fingerprint as string
  }
  const registry = openForWriting(at('data', 'registry.db'))
  try {
    const statusOf = (fingerprint: string) =>
      registry.sqlite
        .prepare('SELECT status FROM certificates WHERE fingerprint = ?')
        .pluck()
        .get(fingerprint)
    const use = (deviceId: string, fingerprint: string) =>
      createBrokerNotes(registry).uses([{ fingerprint, deviceId, at: Date.now() }])
    const old = await enroll('pump-1', 'a')
    use('pump-1', old)
    const fresh = await enroll('pump-1', 'b')
    use('pump-1', fresh)
    assert.equal(statusOf(old), 'superseded')
    const other = await enroll('pump-2', 'c')
    use('pump-2', other)
    const unused = await enroll('pump-2', 'd')

    writeFileSync(offset, '+23h')
    const kept = await up.run('certificate', 'show', old, '-o', 'json')
    assert.equal(kept.code, 0, kept.stderr)
    assert.equal(JSON.parse(kept.stdout).status, 'superseded')
    writeFileSync(offset, '+25h')
    await until(() => statusOf(old) === 'retired', 'its grace ended')
    assert.equal(statusOf(unused), 'issued')
    writeFileSync(offset, '-730d')
    const before = await up.run('certificate', 'show', unused, '-o', 'json')
    assert.ok(
      before.code === 0 || /certificate/.test(before.stderr),
      'the service answers, or its clock is refused',
    )
    assert.deepEqual([statusOf(unused), statusOf(old)], ['issued', 'retired'])
    writeFileSync(offset, '+8d')
    await until(() => statusOf(unused) === 'lapsed', 'the renewal lapsed')
    writeFileSync(offset, '+0')
    const shown = await up.run('certificate', 'show', unused, '-o', 'json')
    assert.equal(shown.code, 0, shown.stderr)
    assert.equal(JSON.parse(shown.stdout).status, 'lapsed')
    assert.equal(statusOf(fresh), 'active')
    assert.ok(existsSync(at('data', 'endpoints.json')), 'it runs')
    assert.doesNotMatch(up.stderr(), /uncaught|unhandled/i)
  } finally {
    await closeRegistry(registry)
  }
})
