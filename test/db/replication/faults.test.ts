// PostgreSQL is killed and comes back while two writers are at work: what was answered is there, once, and nothing else is half there.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { createRegistryWriter } from '../../../db/index.ts'
import { openSharedRegistry } from '../../../db/replication/index.ts'
import { readPostgresSettings } from '../../../db/replication/postgres.ts'
import { allRows } from '../../../db/replication/row-capture.ts'
import { verifyRegistry } from '../../harness/audit.ts'
import { startPostgres } from '../../harness/postgres.ts'
import { tester } from '../../harness/roll.ts'

const KILLS = 3
/** Answered between two kills. */
const CHANGES = 20

test('PostgreSQL is killed three times while two writers add devices', async () => {
  const server = await startPostgres({ durable: true })
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-faults-'))
  const settings = readPostgresSettings(server.url)
  let troubles = 0
  const open = async (name: string) => {
    const file = join(directory, `${name}.db`)
    const onFailed = () => {
      troubles += 1
    }
    const shared = await openSharedRegistry({ settings, file, name, onFailed })
    return { ...shared, name, file, writer: createRegistryWriter(shared.registry) }
  }
  const processes = [await open('one'), await open('other')]
  try {
    const answered: string[] = []
    const asked: string[] = []
    let stopped = false
    const work = processes.map(async ({ name, writer }) => {
      for (let index = 0; !stopped; index += 1) {
        const id = `${name}-${index}`
        asked.push(id)
        try {
          await writer.addDevice({ id, attributes: { site: 'north' }, groups: ['g'] }, tester)
          answered.push(id)
        } catch (error) {
          assert.match((error as { code: string }).code, /^registry_(unreachable|busy)$/, String(error))
          await new Promise(resolve => setTimeout(resolve, 20))
        }
      }
    })
    for (let kill = 0; kill < KILLS; kill += 1) {
      const reached = answered.length + CHANGES
      while (answered.length < reached) await new Promise(resolve => setTimeout(resolve, 5))
      await server.kill()
      await server.start()
    }
    stopped = true
    await Promise.all(work)
    for (const { replica } of processes) await replica.catchUp()

    const [first, second] = processes.map(({ file }) => {
      const sqlite = new Sqlite(file, { readonly: true })
      const ids = sqlite.prepare<[], string>('SELECT id FROM devices').pluck().all()
      const added = sqlite
        .prepare<[], string>("SELECT target FROM audit WHERE action = 'device.add'")
        .pluck()
        .all()
      const rows = [...allRows(sqlite)].map(row => `${row.table} ${row.content}`)
      sqlite.close()
      assert.deepEqual(
        answered.filter(id => !ids.includes(id)),
        [],
        'what was answered is there',
      )
      assert.deepEqual(
        ids.filter(id => !asked.includes(id)),
        [],
      )
      assert.deepEqual(added.toSorted(), ids.toSorted(), 'each once')
      return rows.toSorted()
    })
    assert.deepEqual(second, first)
    for (const { file } of processes) assert.equal((await verifyRegistry(file, new Map())).fault, null)
    assert.ok(troubles > 0, 'the kills were felt')
  } finally {
    await Promise.allSettled(processes.map(({ close }) => close()))
    await server.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
