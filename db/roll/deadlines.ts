// What time does to certificates: the steps that are due, taken a bounded number at once, each with its audit and change row.
// A step waits in the record until it is taken, so neither a restart nor a clock that jumps loses or repeats one.
import type { Database } from 'better-sqlite3'
import type { Transaction } from 'kysely'
import { renewalCriticalAt } from '../../pki/renewal-window.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { isRegistryUnavailable } from '../registry-error.ts'
import type { CertificateStatus, DeadlineKind, Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'
import { transact } from '../transact.ts'
import { forgetSelfRegistered } from './self-registered-devices.ts'
import { certificateMay, certificateTransitions } from './transitions.ts'

export const DAY_MS = 86_400_000
/** How long a certificate that waits for approval stays on the roll. */
export const PENDING_KEPT_MS = 7 * DAY_MS
/** How long a renewal may stay unused. */
export const RENEWAL_KEPT_MS = 7 * DAY_MS
/** How long what a claim certificate enrolled may stay unused. */
export const PROVISIONAL_KEPT_MS = 60 * 60_000
/** How long the old certificate is still admitted after the first CONNECT of the new one. */
export const GRACE_MS = DAY_MS

/** A step that was taken. `expiring` and `critical` change nothing: somebody should hear of them. */
export type PassedDeadline = { kind: DeadlineKind; fingerprint: string; deviceId: string; notAfter: number }

/** A step that failed, and is due again later. */
export type FailedDeadline = PassedDeadline & { error: unknown }

type DeadlineWriter = {
  /**
   * Takes at most `limit` steps that are due, oldest first, in one transaction. Where that fails, each in one of its own:
   * what fails alone is put off, so that it keeps no other waiting. Fewer than `limit` in all: nothing is due any more.
   */
  passDeadlines(limit: number): Promise<{ passed: PassedDeadline[]; failed: FailedDeadline[] }>
}
/** How long a step that failed is put off. */
export const FAILED_STEP_MS = 10 * 60_000

type Due = {
  kind: DeadlineKind
  fingerprint: string
  deviceId: string
  status: CertificateStatus
  notBefore: number
  notAfter: number
}

const clock: Actor = { name: 'time', kind: 'service' }

export function createDeadlineWriter(registry: Registry, now: () => number): DeadlineWriter {
  const next = registry.sqlite
    .prepare<[], number | null>('SELECT due_at FROM deadlines ORDER BY due_at LIMIT 1')
    .pluck()
  async function takeEach(at: number, limit: number) {
    const failed: FailedDeadline[] = []
    const passed: PassedDeadline[] = []
    for (const due of await transact(registry, transaction => dueBy(transaction, at, limit))) {
      const { kind, fingerprint, deviceId, notAfter } = due
      const step = { kind, fingerprint, deviceId, notAfter }
      try {
        await transact(registry, transaction => steps[kind](transaction, due, at))
        passed.push(step)
      } catch (error) {
        if (isRegistryUnavailable(error)) throw error
        await transact(registry, transaction =>
          setDeadline(transaction, fingerprint, kind, at + FAILED_STEP_MS),
        )
        failed.push({ ...step, error })
      }
    }
    return { passed, failed }
  }

  return {
    async passDeadlines(limit) {
      const at = now()
      // The usual answer, without a transaction: nothing is due.
      if ((next.get() ?? Number.POSITIVE_INFINITY) > at) return { passed: [], failed: [] }
      try {
        const passed = await transact(registry, async transaction => {
          const due = await dueBy(transaction, at, limit)
          for (const step of due) await steps[step.kind](transaction, step, at)
          return due.map(({ kind, fingerprint, deviceId, notAfter }) => ({
            kind,
            fingerprint,
            deviceId,
            notAfter,
          }))
        })
        return { passed, failed: [] }
      } catch (error) {
        if (isRegistryUnavailable(error)) throw error
        return takeEach(at, limit)
      }
    },
  }
}

/**
 * Prepares the count of certificates that admit now and whose validity ends after `from` and until `to`.
 * Those that are superseded have a successor already.
 */
export function prepareExpiringCount(sqlite: Database): (from: number, to: number) => number {
  const count = sqlite
    .prepare<[number, number], number>(
      // Left to itself SQLite looks at every certificate in use: at a million that stalls the service for a second.
      `SELECT count(*) FROM certificates INDEXED BY certificates_by_end
       WHERE status IN ('issued', 'active') AND not_after > ? AND not_after <= ?`,
    )
    .pluck()
  return (from, to) => count.get(from, to) ?? 0
}

/** Puts a step on record; one of the same kind is moved. */
export async function setDeadline(
  transaction: Transaction<Schema>,
  fingerprint: string,
  kind: DeadlineKind,
  dueAt: number,
): Promise<void> {
  const deadline = { fingerprint, kind, due_at: dueAt }
  await insert(
    transaction,
    'deadlines',
    deadline,
    '(fingerprint, kind) DO UPDATE SET due_at = excluded.due_at',
  )
}

/** Takes back what would have become of a certificate. */
export async function clearDeadlines(
  transaction: Transaction<Schema>,
  fingerprint: string,
  ...kinds: DeadlineKind[]
): Promise<void> {
  const all = transaction.deleteFrom('deadlines').where('fingerprint', '=', fingerprint)
  await (kinds.length === 0 ? all : all.where('kind', 'in', kinds)).execute()
}

type Step = (transaction: Transaction<Schema>, due: Due, at: number) => Promise<void>

const steps: Record<DeadlineKind, Step> = {
  async expiring(transaction, due) {
    await clearDeadlines(transaction, due.fingerprint, 'expiring')
    await setDeadline(transaction, due.fingerprint, 'critical', renewalCriticalAt(due))
  },
  async critical(transaction, due) {
    await clearDeadlines(transaction, due.fingerprint, 'critical')
  },
  lapse: moved('lapse'),
  retire: moved('retire'),
  async forget(transaction, due, at) {
    await clearDeadlines(transaction, due.fingerprint, 'forget')
    if (!certificateMay('forget', due.status)) return
    if (await isIssuedHere(transaction, due.fingerprint)) return steps.lapse(transaction, due, at)
    await transaction.deleteFrom('certificates').where('fingerprint', '=', due.fingerprint).execute()
    await forgetSelfRegistered(transaction, due, clock, at)
    await tell(transaction, 'forget', due, at)
  },
}

async function isIssuedHere(transaction: Transaction<Schema>, fingerprint: string): Promise<boolean> {
  const text = `SELECT 1 FROM certificates c JOIN issuances i ON i.serial_number = c.serial_number
    WHERE c.fingerprint = ? AND i.fingerprint = c.fingerprint`
  return (await rowsOf(transaction, text, fingerprint)).length > 0
}

function moved(move: 'lapse' | 'retire'): Step {
  return async (transaction, due, at) => {
    if (!certificateMay(move, due.status)) return clearDeadlines(transaction, due.fingerprint, move)
    await clearDeadlines(transaction, due.fingerprint)
    await transaction
      .updateTable('certificates')
      .set({ status: certificateTransitions[move].to })
      .where('fingerprint', '=', due.fingerprint)
      .execute()
    await tell(transaction, move, due, at)
  }
}

async function tell(
  transaction: Transaction<Schema>,
  move: 'lapse' | 'retire' | 'forget',
  { fingerprint, deviceId, status }: Due,
  at: number,
): Promise<void> {
  await appendAudit(transaction, {
    at,
    actor: clock,
    action: `certificate.${move}`,
    target: fingerprint,
    detail: { deviceId, from: status },
  })
  await appendChange(transaction, { kind: 'certificate', at, fingerprint, deviceId })
}

async function dueBy(transaction: Transaction<Schema>, at: number, limit: number): Promise<Due[]> {
  return transaction
    .selectFrom('deadlines')
    .innerJoin('certificates', 'certificates.fingerprint', 'deadlines.fingerprint')
    .select([
      'deadlines.kind',
      'deadlines.fingerprint',
      'certificates.device_id as deviceId',
      'certificates.status',
      'certificates.not_before as notBefore',
      'certificates.not_after as notAfter',
    ])
    .where('deadlines.due_at', '<=', at)
    .orderBy('deadlines.due_at')
    .limit(limit)
    .execute()
}
