// Verbs by which operators move a certificate through its life, each as `transitions.ts` allows it: one transaction with
// status, audit row and change row. The same move again changes nothing and gives the epoch of the first.
import type { Transaction } from 'kysely'
import { renewalOpensAt } from '../../pki/renewal-window.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { assertCertificateSeen } from '../entity-tags.ts'
import { assertNotCompromised } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'
import { assertRoom } from './admissible-certificates.ts'
import { clearDeadlines, setDeadline } from './deadlines.ts'
import { stateOf } from './device-writer.ts'
import { revokeKeyOf } from './key-revocation.ts'
import { approveLineage } from './lineage.ts'
import {
  type CertificateTransition,
  certificateMay,
  certificateTransitions,
  deviceMay,
} from './transitions.ts'

/** Each gives the epoch of the change. */
type CertificateTransitionWriter = {
  /** For `keyCompromise` the key is revoked: every certificate of it, and every one that was obtained with it. */
  revokeCertificate(fingerprint: string, reason: RevocationReason, actor: Actor): Promise<number>
  /** Holds a certificate: it admits nobody until it is activated again. */
  suspendCertificate(fingerprint: string, actor: Actor): Promise<number>
  activateCertificate(fingerprint: string, actor: Actor): Promise<number>
  approveCertificate(fingerprint: string, actor: Actor): Promise<number>
  rejectCertificate(fingerprint: string, actor: Actor): Promise<number>
}

type Row = Pick<
  Schema['certificates'],
  | 'fingerprint'
  | 'status'
  | 'device_id'
  | 'not_before'
  | 'not_after'
  | 'grace_until'
  | 'spki_hash'
  | 'revocation_reason'
>
type Step = {
  move: Exclude<CertificateTransition, 'forget' | 'compromise' | 'hold'>
  reason?: RevocationReason
  /** What else must hold, and what else is written. */
  besides?(transaction: Transaction<Schema>, row: Row, at: number): Promise<void>
}

/** These end a right: nothing that waits for the registry may delay them. */
const withdrawing: ReadonlySet<Step['move']> = new Set(['revoke', 'suspend', 'reject'])

export function createCertificateTransitionWriter(
  registry: Registry,
  now: () => number,
): CertificateTransitionWriter {
  const moved = (fingerprint: string, step: Step, actor: Actor) =>
    transact(
      registry,
      transaction => moveCertificate(transaction, fingerprint, step, actor, now()),
      withdrawing.has(step.move) ? 'urgent' : 'normal',
    )

  return {
    revokeCertificate: (fingerprint, reason, actor) =>
      reason === 'keyCompromise'
        ? transactUrgently(registry, transaction => revokeCompromised(transaction, fingerprint, actor, now()))
        : moved(
            fingerprint,
            { move: 'revoke', reason, besides: transaction => clearDeadlines(transaction, fingerprint) },
            actor,
          ),
    suspendCertificate: (fingerprint, actor) => moved(fingerprint, { move: 'suspend' }, actor),
    activateCertificate: (fingerprint, actor) =>
      moved(fingerprint, { move: 'activate', besides: activate }, actor),
    approveCertificate: (fingerprint, actor) =>
      moved(fingerprint, { move: 'approve', besides: approve }, actor),
    rejectCertificate: (fingerprint, actor) =>
      moved(
        fingerprint,
        { move: 'reject', besides: transaction => clearDeadlines(transaction, fingerprint) },
        actor,
      ),
  }
}

async function moveCertificate(
  transaction: Transaction<Schema>,
  fingerprint: string,
  { move, reason, besides }: Step,
  actor: Actor,
  at: number,
): Promise<number> {
  const row = await rowOf(transaction, fingerprint)
  await assertCertificateSeen(transaction, actor, fingerprint)
  const to = move === 'activate' && isHeldInGrace(row) ? 'superseded' : certificateTransitions[move].to
  if (row.status === to) return latestEpoch(transaction, fingerprint)
  if (!certificateMay(move, row.status)) {
    throw new Conflict(
      'certificate_status_forbids',
      `the certificate is ${row.status}: it cannot become ${to}`,
    )
  }
  await besides?.(transaction, row, at)
  await transaction
    .updateTable('certificates')
    .set({ status: to, ...(reason === undefined ? {} : { revocation_reason: reason, revoked_at: at }) })
    .where('fingerprint', '=', fingerprint)
    .execute()
  await appendAudit(transaction, {
    at,
    actor,
    action: `certificate.${move}`,
    target: fingerprint,
    ...(reason === undefined ? {} : { reason }),
    detail: { deviceId: row.device_id, from: row.status },
  })
  return appendChange(transaction, { kind: 'certificate', at, fingerprint, deviceId: row.device_id })
}

async function revokeCompromised(
  transaction: Transaction<Schema>,
  fingerprint: string,
  actor: Actor,
  at: number,
): Promise<number> {
  const row = await rowOf(transaction, fingerprint)
  await assertCertificateSeen(transaction, actor, fingerprint)
  const { status, device_id: deviceId, spki_hash: spkiHash, revocation_reason: revocationReason } = row
  const named = { fingerprint, status, deviceId, spkiHash, revocationReason }
  const epoch = await revokeKeyOf(transaction, named, actor, at)
  return epoch ?? latestEpoch(transaction, fingerprint)
}

async function rowOf(transaction: Transaction<Schema>, fingerprint: string): Promise<Row> {
  const row = await transaction
    .selectFrom('certificates')
    .select([
      ...(['fingerprint', 'status', 'device_id', 'not_before', 'not_after', 'grace_until'] as const),
      ...(['spki_hash', 'revocation_reason'] as const),
    ])
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst()
  if (row !== undefined) return row
  throw new Conflict('certificate_unknown', `no certificate ${fingerprint} is on the roll`)
}

/** It was superseded when it was suspended. */
function isHeldInGrace({ status, grace_until: graceUntil }: Row): boolean {
  return status === 'suspended' && graceUntil !== null
}

async function activate(transaction: Transaction<Schema>, row: Row, at: number): Promise<void> {
  await assertMayAdmit(transaction, row, at)
  if (row.grace_until !== null) await setDeadline(transaction, row.fingerprint, 'retire', row.grace_until)
}

async function approve(transaction: Transaction<Schema>, row: Row, at: number): Promise<void> {
  await assertMayAdmit(transaction, row, at)
  await approveLineage(transaction, row.fingerprint, at)
  await clearDeadlines(transaction, row.fingerprint, 'forget')
  const opensAt = renewalOpensAt({ notBefore: row.not_before, notAfter: row.not_after })
  await setDeadline(transaction, row.fingerprint, 'expiring', opensAt)
}

/** What admits again counts again among those that admit the device. */
async function assertMayAdmit(transaction: Transaction<Schema>, row: Row, at: number): Promise<void> {
  const state = await stateOf(transaction, row.device_id)
  if (!deviceMay('decommission', state)) {
    throw new Conflict('device_state_forbids', `device ${row.device_id} is ${state}: register a new device`)
  }
  await assertNotCompromised(transaction, row.spki_hash)
  if (row.not_after > at) await assertRoom(transaction, row.device_id, at)
}

async function latestEpoch(transaction: Transaction<Schema>, fingerprint: string): Promise<number> {
  const { epoch } = await transaction
    .selectFrom('changes')
    .select(({ fn }) => fn.max('epoch').as('epoch'))
    .where('fingerprint', '=', fingerprint)
    .where('kind', '=', 'certificate')
    .executeTakeFirstOrThrow()
  return epoch ?? 0
}
