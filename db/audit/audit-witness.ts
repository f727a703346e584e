// What outside the audit log tells how far it once reached: a checkpoint that was kept elsewhere, and facts of the record whose
// rows must be there. Says what is missing; refuses to know where the checkpoint is kept.
import type { Registry } from '../open.ts'
import { type AuditKeys, type Checkpoint, isGenuine } from './audit-checkpoint.ts'
import type { AuditFault } from './audit-fault.ts'
import type { AuditReader } from './audit-reader.ts'

/** The action of the row by which an operator accepts that the log is shorter than it was, as after a restore. */
export const ACCEPT_ACTION = 'audit.accept'

/** Compares the log with a checkpoint that was kept elsewhere; `where` names it. Null where the log still holds what it covers. */
export function faultOfKept(
  kept: Checkpoint,
  where: string,
  { reader, keys }: { reader: Pick<AuditReader, 'extent' | 'hashOf'>; keys: AuditKeys },
): AuditFault | null {
  const { number, seq } = kept
  const { end, lastCheckpoint } = reader.extent()
  const through = (kind: AuditFault['kind'], message: string, first = seq): AuditFault => ({
    ...{ kind, seq: first, through: Math.max(seq, first), message },
  })
  // One of a former key is compared, too: the owner of the file may lack the key.
  if (keys.has(kept.keyId) && !isGenuine(kept, keys))
    return through('checkpoint', `the signature of checkpoint ${number} in ${where} is wrong`)
  if (end.seq < seq) {
    const message = `the log ends at row ${end.seq}, but checkpoint ${number} in ${where} covers row ${seq}: it was cut off, or the registry is older than the checkpoint`
    return through('removed', message, end.seq + 1)
  }
  if (reader.hashOf(seq) !== kept.hash) {
    const message = `row ${seq} is not the one that checkpoint ${number} in ${where} covers: the log was cut off and went on, or was made anew`
    return through('changed', message)
  }
  if ((lastCheckpoint?.number ?? 0) < number)
    return through('checkpoint', `checkpoint ${number} in ${where} is missing in the registry`)
  return null
}

type Fact = { what: string; id: string | null; at: number }

const FACTS_LOOKED_AT = 50
const ROWS_LOOKED_AT = 2_000
/** A change and its row are of one transaction, which takes the time twice at most. */
const APART_MS = 2_000

/**
 * Compares the log with the newest devices, certificates and changes: each was written together with a row. Finds a log that was
 * cut where its checkpoints and their copies are gone too, as long as the record itself was left alone.
 */
export function prepareUntoldFact({ sqlite }: Registry): () => AuditFault | null {
  const newest = sqlite.prepare<[], Fact>(
    `SELECT * FROM (SELECT 'device' AS what, id, created_at AS at FROM devices ORDER BY rowid DESC LIMIT ${FACTS_LOOKED_AT})
     UNION ALL SELECT * FROM (SELECT 'certificate', fingerprint, issued_at FROM certificates
       ORDER BY rowid DESC LIMIT ${FACTS_LOOKED_AT})
     UNION ALL SELECT * FROM (SELECT 'change', coalesce(fingerprint, device_id, issuer_id), at FROM changes
       ORDER BY epoch DESC LIMIT ${FACTS_LOOKED_AT})`,
  )
  const times = sqlite
    .prepare<[], number>(`SELECT at FROM audit ORDER BY seq DESC LIMIT ${ROWS_LOOKED_AT}`)
    .pluck()
  const ofTarget = sqlite.prepare<[string, number, number], number>(
    'SELECT 1 FROM audit WHERE target = ? AND at BETWEEN ? AND ? LIMIT 1',
  )
  const near = sqlite.prepare<[number, number], number>(
    'SELECT 1 FROM audit WHERE at BETWEEN ? AND ? LIMIT 1',
  )
  const accepted = sqlite
    .prepare<[string], number | null>('SELECT max(at) FROM audit WHERE action = ?')
    .pluck()
  const last = sqlite.prepare<[], number>('SELECT coalesce(max(seq), 0) FROM audit').pluck()

  return sqlite.transaction((): AuditFault | null => {
    const recent = new Set(times.all().map(at => Math.floor(at / APART_MS)))
    const isRecent = (at: number) => [-1, 0, 1].some(step => recent.has(Math.floor(at / APART_MS) + step))
    const since = accepted.get(ACCEPT_ACTION) ?? Number.NEGATIVE_INFINITY
    for (const { what, id, at } of newest.all()) {
      if (at <= since || isRecent(at)) continue
      const span = [at - APART_MS, at + APART_MS] as const
      if (id !== null && ofTarget.get(id, ...span) !== undefined) continue
      if (near.get(...span) !== undefined) continue
      const seq = last.get()! + 1
      const message = `no row tells of the ${what} ${id ?? 'of a policy'} of ${new Date(at).toISOString()}: the log was cut off after row ${seq - 1} or before`
      return { kind: 'removed', seq, through: seq, message }
    }
    return null
  })
}
