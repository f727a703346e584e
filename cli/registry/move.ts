// The registry of a stopped data directory moves into PostgreSQL, or back. Until the last step, which renames two files, nothing has changed here.
import { existsSync, renameSync, rmSync } from 'node:fs'
import { createAuditReader } from '../../db/audit/audit-reader.ts'
import { verifyChain } from '../../db/audit/audit-verifier.ts'
import { closeRegistry, openForWriting } from '../../db/index.ts'
import { openForReading } from '../../db/open.ts'
import { takeLock } from '../../db/process-lock.ts'
import { moveRegistry } from '../../db/replication/move.ts'
import { MOVED_SCHEMA, moveRegistryBack } from '../../db/replication/move-back.ts'
import { readPostgresSettings, shownPostgres } from '../../db/replication/postgres.ts'
import { isReplica } from '../../db/replication/replica-file.ts'
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
  return await stopped(data, async ({ file, made: replica, before, keys }) => {
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
  })
}

/**
 * The reverse: the directory of a stopped service has a registry of its own then, and PostgreSQL keeps what was under another name.
 * @throws CommandFailed where a service runs, or the audit log is not whole
 * @throws {RegistryError} where the registry there changes meanwhile, or is not as it was made here
 */
export async function moveFromPostgres(
  data: string,
  url: string,
  passwordFile: string | undefined,
): Promise<Moved> {
  const settings = readPostgresSettings(url, { passwordFile })
  return await stopped(data, async ({ file, made, before, keys }) => {
    if (!isReplica(file))
      throw new CommandFailed(`${file} is no replica of a registry in PostgreSQL`, 'check --data and --from')
    let auditRows = 0
    const rows = await moveRegistryBack({
      ...{ settings, file: made, name: 'rollcall registry move' },
      async check() {
        auditRows = await verified(made, keys)
      },
    })
    renameSync(file, before)
    for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
    renameSync(made, file)
    return { rows, auditRows, to: file, before: `schema ${MOVED_SCHEMA} in ${shownPostgres(settings)}` }
  })
}

type Directory = { file: string; made: string; before: string; keys: ReturnType<typeof readAuditKeys> }

/** Runs the work while nothing can be started on the directory, and removes what it made and left. */
async function stopped(data: string, work: (directory: Directory) => Promise<Moved>): Promise<Moved> {
  const directory = dataDirectory(data)
  const file = directory.registry
  if (!existsSync(file)) throw new CommandFailed(`${file} is missing`, 'check --data')
  const made = `${file}.new`
  const before = `${file}.moved`
  if (existsSync(before)) throw new CommandFailed(`${before} exists already`, 'put it elsewhere first')
  const locks = [await takeDataDirectory(data, 'up'), await takeDataDirectory(data, 'broker')]
  const lock = await takeLock(directory.lock)
  try {
    if (lock === null)
      throw new CommandFailed(`the provisioning service runs on ${data}`, 'stop it first, and its broker too')
    return await work({ file, made, before, keys: readAuditKeys([directory.auditPublicKey]) })
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${made}${suffix}`, { force: true })
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
