// A registry of the first schema, with rows, brought up to the chain.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { prepareAppendAudit } from '../../../db/audit/audit.ts'
import { closeRegistry, openForWriting } from '../../../db/index.ts'
import * as roll from '../../../db/migrations/0001-roll.ts'
import { verifyRegistry } from '../../harness/audit.ts'

/** Makes a registry as the version before the chain left it, and opens it with this one. */
async function migrated(
  fill: (sqlite: Sqlite.Database) => void,
  check: (
    registry: ReturnType<typeof openForWriting>,
    verify: () => ReturnType<typeof verifyRegistry>,
  ) => unknown,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-migration-'))
  const file = join(directory, 'registry.db')
  try {
    const old = new Sqlite(file)
    old.exec(roll.sql)
    old.pragma('user_version = 1')
    old.pragma(`application_id = ${0x524f4c4c}`)
    old.transaction(() => fill(old))()
    old.close()
    const registry = openForWriting(file)
    await check(registry, () => verifyRegistry(file, new Map()))
    await closeRegistry(registry)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const addRow = (sqlite: Sqlite.Database, detail = '{}') =>
  sqlite
    .prepare(
      `INSERT INTO audit (at, actor, action, target, outcome, reason, request_id, detail)
       VALUES (1700000000000, 'admin.token', 'device.add', 'd1', 'done', NULL, 'r1', ?)`,
    )
    .run(detail)

test('rows of before are chained with their numbers and content, and new ones continue them', async () => {
  await migrated(
    sqlite => {
      for (let i = 0; i < 2_500; i += 1) addRow(sqlite, `{"z": ${i}, "a": {"y": "\\u00e9", "b": null}}`)
    },
    async (registry, verify) => {
      const first = registry.sqlite.prepare('SELECT * FROM audit WHERE seq = 1').get() as Record<
        string,
        unknown
      >
      assert.equal(first['detail'], '{"a":{"b":null,"y":"é"},"z":0}')
      assert.deepEqual([first['request_id'], first['reason'], first['at']], ['r1', null, 1_700_000_000_000])
      const append = prepareAppendAudit(registry.sqlite)
      registry.sqlite
        .transaction(() =>
          append({ at: 1, actor: { name: 'x', kind: 'local' as const }, action: 'device.add', target: 'y' }),
        )
        .immediate()
      const { outcome, rows, lastSeq, unsealedRows } = await verify()
      assert.deepEqual([outcome, rows, lastSeq, unsealedRows], ['intact', 2_501, 2_501, 2_501])
      for (const sql of ['DELETE FROM audit', 'UPDATE audit SET at = 1'])
        assert.throws(() => registry.sqlite.exec(sql), /append-only/)
    },
  )
})

test('an empty registry of before begins its chain with the first row', async () => {
  await migrated(
    () => {},
    async (registry, verify) => {
      assert.equal((await verify()).rows, 0)
      const append = prepareAppendAudit(registry.sqlite)
      registry.sqlite
        .transaction(() =>
          append({ at: 1, actor: { name: 'x', kind: 'local' as const }, action: 'device.add', target: 'y' }),
        )
        .immediate()
      assert.deepEqual([(await verify()).outcome, (await verify()).lastSeq], ['intact', 1])
    },
  )
})

test('a row that was gone before there was a chain is named, and no number is given again', async () => {
  await migrated(
    sqlite => {
      for (let i = 0; i < 5; i += 1) addRow(sqlite)
      sqlite.exec('DROP TRIGGER audit_rows_never_go; DELETE FROM audit WHERE seq = 3')
    },
    async (_, verify) => {
      const { fault } = await verify()
      assert.deepEqual([fault?.kind, fault?.seq], ['removed', 3])
    },
  )
})
