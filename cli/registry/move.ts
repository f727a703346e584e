// The registry of a stopped data directory moves into PostgreSQL. Until the last step, which renames two files, nothing has changed here.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { createAuditReader } from '../../db/audit/audit-reader.ts'
import { verifyChain } from '../../db/audit/audit-verifier.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import { takeLock } from '../../db/process-lock.ts'
import { moveRegistry } from '../../db/replication/move.ts'
import { readPostgresSettings, shownPostgres } from '../../db/replication/postgres.ts'
import { dataDirectory } from '../../provisioning/data-directory.ts'
import { readAuditKeys } from '../audit/verify.ts'
import { takeDataDirectory } from '../data-directory.ts'
import { CommandFailed } from '../errors.ts'

type Moved = { rows: number; auditRows: number; to: string; before: string }

/** @throws CommandFailed where a service runs, an audit log is not whole, or PostgreSQL cannot take the registry. */
export async function moveToPostgres(
  data: string,
  url: string,
  passwordFile: string | undefined,
): Promise<Moved> {
  const settings = readPostgresSettings(url, { passwordFile })
  const directory = dataDirectory(data)
  const file = directory.registry
  if (!existsSync(file)) throw new CommandFailed(`${file} is missing`, 'check --data')
  const replica = `${file}.new`
  const before = `${file}.moved`
  if (existsSync(before)) throw new CommandFailed(`${before} exists already`, 'put it elsewhere first')
  const locks = [await takeDataDirectory(data, 'up'), await takeDataDirectory(data, 'broker')]
  const lock = await takeLock(directory.lock)
  try {
    if (lock === null)
      throw new CommandFailed(`the provisioning service runs on ${data}`, 'stop it first, and its broker too')
    const keys = readAuditKeys([directory.auditPublicKey])
    const auditRows = await verified(file, keys)
    const registry = openForWriting(file)
    let rows: number
    try {
      rows = await moveRegistry({
        sqlite: registry.sqlite,
        settings,
        replica,
        name: 'rollcall registry move',
      })
    } finally {
      await closeRegistry(registry)
    }
    if ((await verified(replica, keys)) !== auditRows)
      throw new CommandFailed(
        'the audit log in PostgreSQL is not as long as the one here',
        'nothing was moved',
      )
    renameSync(file, before)
    renameSync(replica, file)
    return { rows, auditRows, to: shownPostgres(settings), before }
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${replica}${suffix}`, { force: true })
    lock?.release()
    for (const held of locks) held.release()
  }
}

/** Gives how many rows the log has. */
async function verified(file: string, keys: ReturnType<typeof readAuditKeys>): Promise<number> {
  const registry = openForReading(file)
  try {
    const reader = createAuditReader(registry)
    const extent = reader.extent()
    const { fault, rows } = await verifyChain(reader.batches(extent), { keys, counted: extent.counted })
    if (fault !== null)
      throw new CommandFailed(
        `the audit log in ${file} was tampered with: ${fault.message}`,
        'restore a backup first',
      )
    return rows
  } finally {
    await closeRegistry(registry)
  }
}
