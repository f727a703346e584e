// Whether the audit log still reaches as far as it did: asked before the service writes its first row, and before each signature.
// Keeps the newest checkpoint in its file and in memory, so that a file that goes with the log is missed too.
import type { AuditKeys, Checkpoint } from '../../db/audit/audit-checkpoint.ts'
import type { AuditFault } from '../../db/audit/audit-fault.ts'
import type { AuditReader } from '../../db/audit/audit-reader.ts'
import { faultOfKept } from '../../db/audit/audit-witness.ts'
import type { Log } from '../logging/log.ts'
import { readCheckpointFile, writeCheckpointFile } from './checkpoint-file.ts'

export type AuditWitness = {
  /** What is missing, or null. A fault stays one until the service starts again. */
  look(): AuditFault | null
  /** Keeps a checkpoint that is in the registry. What fails is an event: the next one is tried again. */
  keep(checkpoint: Checkpoint): void
  /** Whether the file holds what was kept last. */
  isKept(): boolean
}

export function createAuditWitness(parts: {
  file: string
  reader: AuditReader
  keys: AuditKeys
  /** The first fact of the record that no row tells of. */
  untold(): AuditFault | null
  log: Pick<Log, 'auditCheckpointLost' | 'auditCheckpointNotKept' | 'auditCheckpointKept'>
}): AuditWitness {
  const { file, reader, keys, log } = parts
  let remembered: Checkpoint | null = null
  let found: AuditFault | null = null
  /** Null until it was looked at. */
  let kept: boolean | null = null

  function checked(): AuditFault | null {
    const chain = { reader, keys }
    const inFile = readCheckpointFile(file)
    const isThere = typeof inFile !== 'string'
    const fault =
      (isThere ? faultOfKept(inFile, file, chain) : null) ??
      (remembered === null ? null : faultOfKept(remembered, 'the memory of the service', chain)) ??
      parts.untold()
    if (isThere) kept = true
    else if (fault === null) makeAnew(inFile)
    return fault
  }

  /** A lost file alone stops nothing, and is logged once. The first start has none yet. */
  function makeAnew(how: 'missing' | 'unreadable'): void {
    const last = remembered ?? reader.extent().lastCheckpoint
    if (last === null) return
    if (kept !== false) log.auditCheckpointLost(file, how)
    keep(last)
  }

  function keep(checkpoint: Checkpoint): void {
    remembered = checkpoint
    try {
      writeCheckpointFile(file, checkpoint)
      kept = true
      log.auditCheckpointKept()
    } catch (error) {
      kept = false
      log.auditCheckpointNotKept(file, error)
    }
  }

  return {
    look() {
      found ??= checked()
      return found
    },
    keep,
    isKept: () => kept !== false,
  }
}
