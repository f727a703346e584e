// `rollcall audit accept`: how to go on with a log that is shorter than it was, as after a restore. The log that is there must be
// whole; the acceptance, its actor and reason become a row of it, and a checkpoint covers that row at once.
import { existsSync, renameSync } from 'node:fs'
import { userInfo } from 'node:os'
import { prepareAppendAudit } from '../../db/audit/audit.ts'
import { keyIdOf, signCheckpoint } from '../../db/audit/audit-checkpoint.ts'
import { addCheckpoint } from '../../db/audit/audit-checkpoints.ts'
import { createAuditReader } from '../../db/audit/audit-reader.ts'
import { verifyChain } from '../../db/audit/audit-verifier.ts'
import { ACCEPT_ACTION, faultOfKept, prepareUntoldFact } from '../../db/audit/audit-witness.ts'
import { closeRegistry, openForWriting, type Registry } from '../../db/index.ts'
import { takeLock } from '../../db/process-lock.ts'
import { readCheckpointFile, writeCheckpointFile } from '../../provisioning/audit/checkpoint-file.ts'
import { readKey } from '../../provisioning/ca/keys.ts'
import { type DataDirectory, dataDirectory } from '../../provisioning/data-directory.ts'
import { CommandFailed } from '../errors.ts'
import { readAuditKeys } from './verify.ts'

type Accepted = {
  accepted: boolean
  fault: string | null
  row: number
  checkpoint: number
  setAside: string | null
}

/** @throws CommandFailed where the service runs, or the log that is there is not whole; nothing is written then. */
export async function acceptLog(data: string, file: string, reason: string): Promise<Accepted> {
  const directory = dataDirectory(data)
  if (!existsSync(directory.registry))
    throw new CommandFailed(`${directory.registry} is missing`, 'check --data')
  const lock = await takeLock(directory.lock)
  if (lock === null)
    throw new CommandFailed(`the provisioning service runs on ${data}`, 'stop it first, and its broker too')
  try {
    const registry = openForWriting(directory.registry)
    try {
      return await accept(registry, directory, file, reason)
    } finally {
      await closeRegistry(registry)
    }
  } finally {
    lock.release()
  }
}

async function accept(
  registry: Registry,
  directory: DataDirectory,
  file: string,
  reason: string,
): Promise<Accepted> {
  const keys = readAuditKeys([directory.auditPublicKey])
  const key = readKey(directory.auditKey)
  if (key === null || !keys.has(keyIdOf(key)))
    throw new CommandFailed(
      `${directory.auditKey} is missing or of another key than ${directory.auditPublicKey}`,
      'restore both from one backup',
    )
  const reader = createAuditReader(registry)
  const extent = reader.extent()
  const verified = await verifyChain(reader.batches(extent), { keys, counted: extent.counted })
  if (verified.fault !== null)
    throw new CommandFailed(
      `the log that is there was tampered with: ${verified.fault.message}`,
      'restore a backup; a log that is not whole is not accepted',
    )
  const kept = readCheckpointFile(file)
  const fault =
    (typeof kept === 'string' ? null : faultOfKept(kept, file, { reader, keys })) ??
    prepareUntoldFact(registry)()
  const last = extent.lastCheckpoint?.number ?? 0
  if (fault === null)
    return { accepted: false, fault: null, row: extent.end.seq, checkpoint: last, setAside: null }

  const append = prepareAppendAudit(registry.sqlite)
  const at = Date.now()
  const before = typeof kept === 'string' ? {} : { number: kept.number, seq: kept.seq, hash: kept.hash }
  registry.sqlite
    .transaction(() =>
      append({
        at,
        actor: { name: `local:${userInfo().username}`, kind: 'local' },
        action: ACCEPT_ACTION,
        target: 'audit',
        detail: { why: reason, fault: fault.message, kept: before, lastSeq: extent.end.seq },
      }),
    )
    .immediate()
  const { end } = reader.extent()
  const checkpoint = signCheckpoint({ ...end, number: last + 1, at }, key)
  addCheckpoint(registry, checkpoint)
  // What the old file says is the only word of the rows that are gone.
  const setAside = existsSync(file) ? `${file}.before-${end.seq}` : null
  if (setAside !== null) renameSync(file, setAside)
  writeCheckpointFile(file, checkpoint)
  return { accepted: true, fault: fault.message, row: end.seq, checkpoint: checkpoint.number, setAside }
}
