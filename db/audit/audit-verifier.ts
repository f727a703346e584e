// Walks an audit chain from its first row to its last, checkpoints beside it, in memory that does not grow with it.
// Refuses to know where rows come from: a registry and an exported file are verified alike.
import { type ChainEnd, type ChainLink, chainStart, rowHash } from '../audit-chain.ts'
import { type AuditKeys, type Checkpoint, isGenuine } from './audit-checkpoint.ts'
import { type AuditFault, faultOfCheckpoint, faultOfRow, missingTail } from './audit-fault.ts'

/** Rows in their order; checkpoints in the order of their numbers, each in the batch of its row. */
export type AuditBatch = { rows: readonly ChainLink[]; checkpoints: readonly Checkpoint[] }

type VerifyOptions = {
  keys: AuditKeys
  /** Where to begin: a row and checkpoint that were verified before. The start of the log where none is named. */
  from?: { end: ChainEnd; checkpoint: number }
  /** The highest numbers ever given, where the source remembers them: what is short of them was removed. */
  counted?: { rows: number; checkpoints: number }
  progress?: (rows: number) => void
}

export type AuditVerification = {
  outcome: 'intact' | 'tampered'
  rows: number
  /** The last row that continues the chain; equal to `fault.seq - 1` at most where there is a fault. */
  lastSeq: number
  lastHash: string
  checkpoints: number
  /** The last row that a signed checkpoint covers, 0 where there is none. */
  sealedThrough: number
  /** Rows after it: their end could be cut off without a trace. */
  unsealedRows: number
  unsealedSince: string | null
  fault: AuditFault | null
}

/** Gives the first fault there is, or none. Never throws for what it reads. */
export async function verifyChain(
  batches: AsyncIterable<AuditBatch>,
  options: VerifyOptions,
): Promise<AuditVerification> {
  const { keys, from = { end: chainStart, checkpoint: 0 } } = options
  let { end } = from
  let sealed = from.end.seq
  let lastNumber = from.checkpoint
  let rows = 0
  let checkpoints = 0
  let firstUnsealed: ChainLink | null = null
  /** A row that does not fit, until the one after it is known. */
  let odd: ChainLink | null = null
  let waiting: Checkpoint[] = []

  const result = (fault: AuditFault | null): AuditVerification => ({
    outcome: fault === null ? 'intact' : 'tampered',
    rows,
    lastSeq: end.seq,
    lastHash: end.hash,
    checkpoints,
    sealedThrough: sealed,
    unsealedRows: end.seq - sealed,
    unsealedSince: firstUnsealed === null ? null : timeOf(firstUnsealed),
    fault,
  })
  const vouches = (row: ChainLink) =>
    waiting.some(({ seq, hash }) => seq === row.seq && hash === row.hash) &&
    waiting.every(checkpoint => isGenuine(checkpoint, keys))

  for await (const batch of batches) {
    waiting = [...waiting, ...batch.checkpoints]
    let due = waiting[0]?.seq ?? Number.POSITIVE_INFINITY
    for (const row of batch.rows) {
      if (odd !== null) return result(faultOfRow({ end, row: odd, next: row, vouched: vouches(odd) }))
      if (
        row.seq !== end.seq + 1 ||
        row.prevHash !== end.hash ||
        rowHash(end.hash, row.canonical) !== row.hash
      ) {
        odd = row
        continue
      }
      end = row
      rows += 1
      firstUnsealed ??= row
      while (due <= row.seq) {
        const checkpoint = waiting.shift()!
        const fault = faultOfCheckpoint({ checkpoint, after: lastNumber, sealed, end, keys })
        if (fault !== null) return result(fault)
        lastNumber = checkpoint.number
        checkpoints += 1
        sealed = row.seq
        firstUnsealed = null
        due = waiting[0]?.seq ?? Number.POSITIVE_INFINITY
      }
    }
    options.progress?.(rows)
  }
  if (odd !== null) return result(faultOfRow({ end, row: odd, next: null, vouched: vouches(odd) }))
  for (const checkpoint of waiting) {
    const fault = faultOfCheckpoint({ checkpoint, after: lastNumber, sealed, end, keys })
    if (fault !== null) return result(fault)
    lastNumber = checkpoint.number
  }
  return result(missingTail(end.seq, lastNumber, options.counted))
}

/** The canonical text ends in `"ts":"…"}`. */
function timeOf(row: ChainLink): string {
  return /"ts":"([^"]*)"}$/.exec(row.canonical)?.[1] ?? ''
}
