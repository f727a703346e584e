// `rollcall audit verify` and `export`: a registry, a backup of one or an exported file, judged without the service.
// Trusts the public keys it is given and nothing that a file says about itself.
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { type AuditKeys, auditKeys, type Checkpoint } from '../../db/audit/audit-checkpoint.ts'
import { missingTail } from '../../db/audit/audit-fault.ts'
import { type AuditReader, createAuditReader } from '../../db/audit/audit-reader.ts'
import { type AuditVerification, verifyChain } from '../../db/audit/audit-verifier.ts'
import { faultOfKept, prepareUntoldFact } from '../../db/audit/audit-witness.ts'
import { closeRegistry, type Registry } from '../../db/index.ts'
import { CHAIN_SCHEMA } from '../../db/migrate.ts'
import { openForReading } from '../../db/open.ts'
import { RegistryError } from '../../db/registry-error.ts'
import { readCheckpointFile } from '../../provisioning/audit/checkpoint-file.ts'
import { CommandFailed, fileFault } from '../errors.ts'
import { readAuditFile, writeAuditFile } from './log-file.ts'

type Progress = (rows: number) => void

export function readAuditKeys(files: readonly string[]): AuditKeys {
  const pems = files.map(file => {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw fileFault('the public key cannot be read', file, error)
    }
  })
  try {
    return auditKeys(...pems)
  } catch (error) {
    throw new CommandFailed(
      `${files.join(', ')}: no public key of an audit log`,
      'name the audit.pub of the data directory, or a copy of it',
      { cause: error },
    )
  }
}

/** An exported file, or a registry such as a backup. */
export async function verifyFile(
  file: string,
  keys: AuditKeys,
  progress: Progress,
  kept: { file: string; needed: boolean } | null = null,
): Promise<AuditVerification> {
  if (isDatabase(file)) return verifyRegistry(file, keys, progress, kept)
  if (kept !== null)
    throw new CommandFailed('--checkpoint is compared with a registry', 'name the registry, or --data')
  const source = readAuditFile(file)
  let verified: AuditVerification
  try {
    verified = await verifyChain(source.batches, { keys, progress })
  } catch (error) {
    const hint = 'name a file that rollcall audit export wrote, or a registry'
    throw new CommandFailed(error instanceof Error ? error.message : String(error), hint, { cause: error })
  }
  if (verified.fault !== null) return verified
  const end = source.end()
  const fault =
    end === null ? missingEnd(verified.lastSeq) : missingTail(verified.lastSeq, verified.checkpoints, end)
  return fault === null ? verified : { ...verified, outcome: 'tampered', fault }
}

/** `kept` is a file with a checkpoint that was kept elsewhere; one that is not there is compared with nothing. */
export function verifyRegistry(
  file: string,
  keys: AuditKeys,
  progress: Progress,
  kept: { file: string; needed: boolean } | null = null,
): Promise<AuditVerification> {
  const checkpoint = kept === null ? null : checkpointIn(kept)
  return withReader(file, async (reader, registry) => {
    const extent = reader.extent()
    const verified = await verifyChain(reader.batches(extent), { keys, counted: extent.counted, progress })
    const fault =
      verified.fault ??
      (checkpoint === null ? null : faultOfKept(checkpoint, kept!.file, { reader, keys })) ??
      prepareUntoldFact(registry)()
    return fault === null ? verified : { ...verified, outcome: 'tampered', fault }
  })
}

function checkpointIn({ file, needed }: { file: string; needed: boolean }): Checkpoint | null {
  const found = readCheckpointFile(file)
  if (typeof found !== 'string') return found
  if (!needed && found === 'missing') return null
  throw new CommandFailed(
    `${file} is ${found === 'missing' ? 'missing' : 'no checkpoint of an audit log'}`,
    'name a copy of the audit.checkpoint of the data directory, or leave --checkpoint out',
  )
}

/** Writes the log of a registry into a new file, with the public key where there is one. */
export async function exportRegistry(
  registryFile: string,
  target: string,
  publicKeyFile: string,
): Promise<{ rows: number; checkpoints: number }> {
  const publicKey = existsSync(publicKeyFile) ? readFileSync(publicKeyFile, 'utf8') : null
  return withReader(registryFile, async reader => {
    const extent = reader.extent()
    const header = { format: 1, exportedAt: new Date().toISOString(), publicKey } as const
    try {
      return await writeAuditFile(target, header, reader.batches(extent), extent.counted)
    } catch (error) {
      throw fileFault('the export cannot be written', target, error)
    }
  })
}

async function withReader<Result>(
  file: string,
  work: (reader: AuditReader, registry: Registry) => Promise<Result>,
): Promise<Result> {
  try {
    const registry = openForReading(file, CHAIN_SCHEMA)
    try {
      return await work(createAuditReader(registry), registry)
    } finally {
      await closeRegistry(registry)
    }
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    throw new CommandFailed(`the audit log cannot be read: ${error.message}`, 'check --data', {
      cause: error,
    })
  }
}

function missingEnd(lastSeq: number): AuditVerification['fault'] {
  const message = `the file was cut off: it ends at row ${lastSeq}, without its last line`
  return { kind: 'removed', seq: lastSeq + 1, through: lastSeq + 1, message }
}

function isDatabase(file: string): boolean {
  try {
    const descriptor = openSync(file, 'r')
    const start = Buffer.alloc(16)
    readSync(descriptor, start)
    closeSync(descriptor)
    return start.toString('latin1') === 'SQLite format 3\0'
  } catch (error) {
    throw fileFault('the audit log cannot be read', file, error)
  }
}
