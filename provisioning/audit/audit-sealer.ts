// Signs checkpoints over the audit log: every so many rows or so often, at the start and at the end.
// What it signs it has verified: a row that was bent since the last checkpoint never gets a signature.
import type { KeyObject } from 'node:crypto'
import { type AuditKeys, isGenuine, keyIdOf, signCheckpoint } from '../../db/audit/audit-checkpoint.ts'
import { appendCheckpoint } from '../../db/audit/audit-checkpoints.ts'
import { type AuditFault, missingTail } from '../../db/audit/audit-fault.ts'
import type { AuditReader } from '../../db/audit/audit-reader.ts'
import { type AuditVerification, verifyChain } from '../../db/audit/audit-verifier.ts'
import { chainStart } from '../../db/audit-chain.ts'
import type { Registry } from '../../db/index.ts'
import { RegistryError } from '../../db/registry-error.ts'
import type { Log } from '../logging/log.ts'
import type { AuditWitness } from './audit-witness.ts'

/** A checkpoint after so many rows, or where any row waits, after so long. */
export type SealingInterval = { rows: number; intervalMs: number }

export type AuditSealer = {
  /** Looks now whether rows wait, and signs what does. Resolves when done; what fails is an event. */
  seal(): Promise<void>
  /** Verifies everything from the first row. A caller during a run gets the answer of that run. */
  verification(): Promise<AuditVerification>
  /** Whether the last look found the log tampered with: then nothing is signed. */
  isTampered(): boolean
  /** Signs the rest and stops. */
  close(): Promise<void>
}

type AuditSealerParts = {
  registry: Registry
  reader: AuditReader
  /** Whether the log reaches as far as it did, and where its newest checkpoint is kept besides. */
  witness: AuditWitness
  key: KeyObject
  /** The public keys that checkpoints may be signed by. */
  keys: AuditKeys
  interval: SealingInterval
  /** Where several services share a registry, one of them signs. */
  leads(): boolean
  log: Pick<Log, 'auditSealed' | 'auditTampered' | 'auditSealFailed'>
  now: () => number
}

/** How often the log is looked at. */
const LOOK_MS = 1_000

export function createAuditSealer(parts: AuditSealerParts): AuditSealer {
  const { registry, reader, witness, key, keys, interval, log, now } = parts
  let sealedAt = Number.NEGATIVE_INFINITY
  /** A fault stays one: it is looked for again at the slower pace. */
  let refused = witness.look() !== null
  let sealing: Promise<void> | null = null
  let verifying: Promise<AuditVerification> | null = null

  /** Rows that no checkpoint covers yet. */
  function waiting(): number {
    const { end, lastCheckpoint } = reader.extent()
    return end.seq - (lastCheckpoint?.seq ?? 0)
  }

  async function look(): Promise<void> {
    try {
      const waited = performance.now() - sealedAt >= interval.intervalMs
      const rows = waiting()
      // A log that was cut to its end may have no row that waits.
      if (waited || (rows >= interval.rows && !refused)) await sealAll()
    } catch (error) {
      log.auditSealFailed(error)
    }
  }

  async function sealAll(): Promise<void> {
    if (!parts.leads()) return
    sealing ??= sealSteps()
      .then(fault => {
        refused = fault !== null
        sealedAt = performance.now()
        if (fault !== null) log.auditTampered(fault)
      })
      .catch(error => {
        // Somebody else writes: it is tried again at the next look, and said where it is more than that.
        if (!(error instanceof RegistryError && error.code === 'registry_busy')) {
          sealedAt = performance.now()
          log.auditSealFailed(error)
        }
      })
      .finally(() => {
        sealing = null
      })
    return sealing
  }

  /** A backlog, as after a migration, gets its checkpoints one after the other. Gives what kept it from signing. */
  async function sealSteps(): Promise<AuditFault | null> {
    const shrunk = witness.look()
    if (shrunk !== null) return shrunk
    const extent = reader.extent()
    let last = extent.lastCheckpoint
    if (last !== null && last.keyId === keyIdOf(key) && !isGenuine(last, keys)) return checkpointFault(last)
    while (extent.end.seq > (last?.seq ?? 0)) {
      const from = last ?? { ...chainStart, number: 0 }
      const seq = Math.min(from.seq + interval.rows, extent.end.seq)
      const verified = await verifyChain(
        reader.batches({ ...extent, end: { ...extent.end, seq } }, from.seq),
        {
          keys,
          from: { end: from, checkpoint: from.number },
          counted: { rows: seq, checkpoints: 0 },
        },
      )
      if (verified.fault !== null) return verified.fault
      last = signCheckpoint({ number: from.number + 1, seq, hash: verified.lastHash, at: now() }, key)
      await appendCheckpoint(registry, last)
      // In this order: after a crash between the two the file is behind, never ahead.
      witness.keep(last)
      log.auditSealed({ checkpoint: last.number, seq, hash: last.hash })
    }
    return missingTail(extent.end.seq, last?.number ?? 0, {
      rows: Math.max(last?.seq ?? 0, extent.counted.rows),
      checkpoints: 0,
    })
  }

  async function verifyAll(): Promise<AuditVerification> {
    const extent = reader.extent()
    const verified = await verifyChain(reader.batches(extent), { keys, counted: extent.counted })
    const fault = verified.fault ?? witness.look()
    return fault === null ? verified : { ...verified, outcome: 'tampered', fault }
  }

  const timer = setInterval(look, Math.min(LOOK_MS, interval.intervalMs))
  timer.unref()

  return {
    seal: sealAll,
    verification() {
      verifying ??= verifyAll().finally(() => {
        verifying = null
      })
      return verifying
    },
    isTampered: () => refused,
    async close() {
      clearInterval(timer)
      await sealing
      await sealAll()
    },
  }
}

function checkpointFault({ number, seq }: { number: number; seq: number }): AuditFault {
  const message = `the signature of checkpoint ${number} is wrong`
  return { kind: 'checkpoint', seq, through: seq, message }
}
