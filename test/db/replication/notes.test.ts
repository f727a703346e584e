// What brokers note travels through PostgreSQL to the registry: in order, each note once, also where an answer is lost, the holder of the
// lease changes, or a note cannot be written.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBrokerNotes } from '../../../db/broker-notes.ts'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { decodeArguments, encodeArguments, runCall } from '../../../db/replication/note-calls.ts'
import { createNoteForwarder } from '../../../db/replication/note-forwarder.ts'
import { startNoteRunner } from '../../../db/replication/note-runner.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { startCuttingProxy } from '../../harness/cutting-proxy.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { createRoll, tester } from '../../harness/roll.ts'
import { until } from '../../harness/until.ts'

test('arguments travel as they are, certificates too', () => {
  const given = [
    'node',
    3,
    null,
    { der: Buffer.from([0, 255, 128]), reason: '\u0000\u{1F4A1}' },
    [Buffer.alloc(0)],
  ]
  assert.deepEqual(decodeArguments(encodeArguments(given)), given)
})

test('a broker of the version before, which tells nothing of its links, is seen', async () => {
  const roll = await createRoll()
  try {
    const notes = createBrokerNotes(roll.registry)
    notes.enter('b1', 0, 1)
    runCall(notes, 'seen', encodeArguments(['b1', 5_000, 2]))
    const row = roll.registry.sqlite.prepare('SELECT seen_at, sessions, bus_connected FROM nodes').raw().get()
    assert.deepEqual(row, [5_000, 2, null])
  } finally {
    await roll.close()
  }
})

test('each note is written once, by two runners that both believe to hold the lease, over connections that break', async () => {
  const server = await startPostgres()
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-notes-'))
  const { port } = new URL(server.url)
  const proxy = await startCuttingProxy({ host: '127.0.0.1', port: Number(port) })
  const settings = readPostgresSettings(server.url)
  const failures: unknown[] = []
  const open = async (name: string) => {
    const onFailed = (error: unknown) => assert.fail(String(error))
    const shared = await openSharedRegistry({ settings, file: join(directory, `${name}.db`), name, onFailed })
    const runner = startNoteRunner({
      ...{ settings, name, registry: shared.registry, endNotes: shared.agreement.endNotes },
      leads: () => true,
      onFailed: error => failures.push(error),
    })
    return { ...shared, runner, writer: createRegistryWriter(shared.registry) }
  }
  const processes = [await open('one'), await open('other')] as const
  const forwarder = createNoteForwarder({
    settings: readPostgresSettings(server.url.replace(`:${port}`, `:${proxy.port}`)),
    ...{ node: 'b1', version: '1' },
    onFailed() {},
  })
  try {
    const { notes } = forwarder
    const refusal = (index: number) => ({
      ...{ fingerprint: 'f'.repeat(64), deviceId: null, reason: 'certificate_revoked', address: '192.0.2.1' },
      ...{ at: index, count: 1 },
    })
    const report = { replica: { sequence: 3, ageMs: 12.6 }, busConnected: false, drainAt: null }
    const ROUNDS = 15
    notes.enter('b1', 0, 1)
    for (let round = 0; round < ROUNDS; round += 1) {
      if (round % 4 === 1) proxy.cutNext('note_sources', round % 8 === 1 ? 'answer' : 'question')
      notes.refusals([refusal(round)])
      notes.seen('b1', 1_000 + round, round, report)
      if (round % 4 === 1) await until(() => proxy.cuts() === (round + 3) / 4)
      // Its audit row is beside the notes in one sequence.
      await processes[round % 2 === 0 ? 0 : 1].writer.addDevice(
        { id: `d${round}`, attributes: {}, groups: [] },
        tester,
      )
    }
    // One that fails for itself is dropped, and those after it are not.
    notes.liveSessions('b1', null as never)
    notes.seen('b1', 5_000, 77, report)
    const sqlite = processes[0].registry.sqlite
    const seen = () => sqlite.prepare('SELECT sessions FROM nodes').pluck().get()
    await until(() => seen() === 77)
    assert.deepEqual(
      sqlite.prepare('SELECT at FROM refusals ORDER BY id').pluck().all(),
      Array.from({ length: ROUNDS }, (_, index) => index),
    )
    assert.equal(proxy.cuts(), 4)
    // Both may have tried it; it was dropped all the same.
    assert.ok(failures.length > 0 && failures.every(error => error instanceof TypeError), String(failures))
    assert.deepEqual(await server.query('SELECT count(*) FROM rollcall.broker_notes'), [{ count: '0' }])
  } finally {
    await forwarder.close(1_000)
    for (const { runner } of processes) await runner.stop()
    for (const { close } of processes) await close()
    proxy.close()
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
