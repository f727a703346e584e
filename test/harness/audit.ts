// An audit log of so many rows, sealed as told, and hands that edit the file behind Rollcall's back.
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { prepareAppendAudit } from '../../db/audit/audit.ts'
import { type AuditKeys, keyIdOf, signCheckpoint } from '../../db/audit/audit-checkpoint.ts'
import { addCheckpoint } from '../../db/audit/audit-checkpoints.ts'
import { type AuditReader, createAuditReader } from '../../db/audit/audit-reader.ts'
import { type AuditVerification, verifyChain } from '../../db/audit/audit-verifier.ts'
import { type AuditRow, canonicalRow, GENESIS_HASH, rowHash } from '../../db/audit-chain.ts'
import { closeRegistry, openForWriting, type Registry } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'

export type AuditLog = AsyncDisposable & {
  directory: string
  file: string
  registry: Registry
  reader: AuditReader
  key: KeyObject
  keys: AuditKeys
  /** Appends so many rows in one transaction. */
  append(count: number): void
  /** Signs what is there. */
  seal(): Promise<void>
  /** Edits the file through another connection, without any of the triggers. */
  bend(edit: (sqlite: Sqlite.Database) => void): void
  verify(): Promise<AuditVerification>
}

export async function createAuditLog(): Promise<AuditLog> {
  const directory = mkdtempSync(join(tmpdir(), 'rollcall-audit-'))
  const file = join(directory, 'registry.db')
  const registry = openForWriting(file)
  const reader = createAuditReader(registry)
  const { privateKey: key, publicKey } = generateKeyPairSync('ed25519')
  const keys = new Map([[keyIdOf(publicKey), publicKey]])
  const appendOne = prepareAppendAudit(registry.sqlite)
  return {
    directory,
    file,
    registry,
    reader,
    key,
    keys,
    append: registry.sqlite.transaction((count: number) => {
      const { end } = reader.extent()
      for (let seq = end.seq + 1; seq <= end.seq + count; seq += 1) {
        const detail = { deviceId: `d${seq}`, from: 'registered' }
        appendOne({
          at: 1e12 + seq,
          actor: { name: 'tester', kind: 'local' as const },
          action: 'device.add',
          target: `d${seq}`,
          detail,
        })
      }
    }).immediate,
    async seal() {
      const { end, lastCheckpoint } = reader.extent()
      const number = (lastCheckpoint?.number ?? 0) + 1
      addCheckpoint(registry, signCheckpoint({ ...end, number, at: 1e12 }, key))
    },
    bend(edit) {
      const sqlite = new Sqlite(file)
      dropTriggers(sqlite)
      edit(sqlite)
      sqlite.close()
    },
    verify: () => verifyRegistry(file, keys),
    async [Symbol.asyncDispose]() {
      await closeRegistry(registry)
      rmSync(directory, { recursive: true })
    },
  }
}

export async function verifyRegistry(file: string, keys: AuditKeys): Promise<AuditVerification> {
  const registry = openForReading(file)
  try {
    const reader = createAuditReader(registry)
    const extent = reader.extent()
    return await verifyChain(reader.batches(extent), { keys, counted: extent.counted })
  } finally {
    await closeRegistry(registry)
  }
}

export function dropTriggers(sqlite: Sqlite.Database): void {
  const names = sqlite
    .prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'audit%'")
    .pluck()
    .all()
  for (const name of names) sqlite.exec(`DROP TRIGGER ${name}`)
}

/** Makes hashes anew from a row to the last, as an attacker would that knows how they are made. */
export function rehash(sqlite: Sqlite.Database, from: number, through = Number.MAX_SAFE_INTEGER): void {
  const rows = sqlite
    .prepare<[number, number], AuditRow>(
      `SELECT *, actor_kind AS actorKind, request_id AS requestId, prev_hash AS prevHash FROM audit WHERE seq BETWEEN ? AND ? ORDER BY seq`,
    )
    .all(from, through)
  const update = sqlite.prepare('UPDATE audit SET prev_hash = ?, hash = ? WHERE seq = ?')
  const before = sqlite.prepare<[number], string>('SELECT hash FROM audit WHERE seq = ?').pluck()
  let prevHash = before.get(from - 1) ?? GENESIS_HASH
  for (const row of rows) {
    const hash = rowHash(prevHash, canonicalRow(row))
    update.run(prevHash, hash, row.seq)
    prevHash = hash
  }
}
