// The audit log of a running service put together: its key, its reader, and what tells whether it is as long as it was. Opened before
// the service writes its first row, which would hide that rows before it are gone.
import { createPublicKey } from 'node:crypto'
import { keyIdOf } from '../../db/audit/audit-checkpoint.ts'
import { createAuditReader } from '../../db/audit/audit-reader.ts'
import { prepareUntoldFact } from '../../db/audit/audit-witness.ts'
import type { Registry } from '../../db/index.ts'
import type { DataDirectory } from '../data-directory.ts'
import type { Log } from '../logging/log.ts'
import { keepAuditKey } from './audit-key.ts'
import { type AuditSealer, createAuditSealer, type SealingInterval } from './audit-sealer.ts'
import { createAuditWitness } from './audit-witness.ts'

type AuditParts = {
  directory: DataDirectory
  /** Where the newest checkpoint is kept besides the registry; null for the data directory. */
  checkpointFile: string | null
  registry: Registry
  reading: Registry
  /** Whether this process signs checkpoints. */
  leads(): boolean
  log: Log
  now: () => number
}

export function openAudit({ directory, checkpointFile, registry, reading, leads, log, now }: AuditParts) {
  const { key, made } = keepAuditKey(directory)
  const keys = new Map([[keyIdOf(key), createPublicKey(key)]])
  const reader = createAuditReader(reading)
  const witness = createAuditWitness({
    file: checkpointFile ?? directory.auditCheckpoint,
    reader,
    keys,
    untold: prepareUntoldFact(reading),
    log,
  })
  const atStart = witness.look()
  return {
    keyMade: made,
    reader,
    /** `told` makes it an event as well, for operators that do not read the log. */
    startSealing(
      interval: SealingInterval,
      told: (kind: string, row: number, message: string) => void,
    ): AuditSealer {
      let isTold = false
      const auditTampered: Log['auditTampered'] = fault => {
        log.auditTampered(fault)
        if (!isTold) told(fault.kind, fault.seq, fault.message)
        isTold = true
      }
      if (atStart !== null) auditTampered(atStart)
      return createAuditSealer({
        ...{ registry, reader, witness, key, keys, interval, leads, now },
        log: { ...log, auditTampered },
      })
    },
  }
}
