// A trust anchor over its renewals, and its end. One that was renewed with the same name and key keeps its ID, its devices and
// its settings; the certificate it had before stays on record until it is retired. The caller checks what may replace it.
import { setImmediate } from 'node:timers/promises'
import type { Transaction } from 'kysely'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { assertIssuerSeen } from '../entity-tags.ts'
import { assertNotCompromised } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'
import { isRevokedBy } from './issuer-store.ts'
import { anchorIn } from './trust-anchors.ts'

export type AnchorRenewal = {
  issuerId: string
  /** The certificate that takes the place of the one in force, and the fingerprint of that one. */
  der: Buffer
  replaces: string
  parentId: string | null
}

type RenewedAnchorWriter = {
  /** Gives the epoch of the change. Throws `issuer_changed` where another certificate is in force by now. */
  renewTrustAnchor(renewal: AnchorRenewal, actor: Actor): Promise<number>
  /** Takes off the record a certificate that was replaced. Gives the epoch. Throws `issuer_certificate_unknown`. */
  retireAnchorCertificate(issuerId: string, fingerprint: string, actor: Actor): Promise<number>
  /** Takes an anchor off the record. Gives the epoch. Throws `issuer_in_use` where anything on record names it. */
  removeTrustAnchor(issuerId: string, actor: Actor): Promise<number>
}

/** Entries of a CRL that are deleted at once. */
const SLICE = 1_000

export function createRenewedAnchorWriter(registry: Registry, now: () => number): RenewedAnchorWriter {
  return {
    renewTrustAnchor: (renewal, actor) =>
      transact(registry, transaction => renew(transaction, renewal, actor, now())),

    retireAnchorCertificate: (issuerId, fingerprint, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await anchorIn(transaction, issuerId)
        const sql = 'DELETE FROM replaced_issuer_certificates WHERE fingerprint = ? AND issuer_id = ?'
        if ((await run(transaction, sql, fingerprint, issuerId)) === 0) {
          const message = `${fingerprint} is no certificate that was replaced in ${issuerId}`
          throw new Conflict('issuer_certificate_unknown', message)
        }
        const detail = { fingerprint }
        await appendAudit(transaction, { at, actor, action: 'issuer.retire', target: issuerId, detail })
        return appendChange(transaction, { kind: 'issuer', at, issuerId })
      }),

    async removeTrustAnchor(issuerId, actor) {
      const listed = await transact(registry, transaction => putOutOfUse(transaction, issuerId, actor, now()))
      if (listed) {
        const drop = (transaction: Transaction<Schema>) =>
          run(transaction, dropRevocationsSql, issuerId, SLICE)
        while ((await transact(registry, drop)) > 0) await setImmediate()
      }
      return transact(registry, transaction => remove(transaction, issuerId, actor, now()))
    },
  }
}

async function renew(
  transaction: Transaction<Schema>,
  { issuerId, der, replaces, parentId }: AnchorRenewal,
  actor: Actor,
  at: number,
): Promise<number> {
  await anchorIn(transaction, issuerId)
  const before = await transaction
    .selectFrom('issuers')
    .select(['der', 'not_before', 'not_after'])
    .where('id', '=', issuerId)
    .executeTakeFirstOrThrow()
  if (certificateFacts(before.der).fingerprint !== replaces)
    throw new Conflict('issuer_changed', `another certificate of ${issuerId} is in force by now`)
  const { fingerprint, notBefore, notAfter, serialNumber, spkiHash } = certificateFacts(der)
  await assertNotCompromised(transaction, spkiHash)
  await transaction
    .insertInto('replaced_issuer_certificates')
    .values({ fingerprint: replaces, issuer_id: issuerId, ...before, replaced_at: at })
    .execute()
  const revoked = parentId !== null && (await isRevokedBy(transaction, parentId, serialNumber))
  const inForce = { der, not_before: notBefore, not_after: notAfter, parent_id: parentId }
  await transaction
    .updateTable('issuers')
    .set({ ...inForce, revoked: revoked ? 1 : 0 })
    .where('id', '=', issuerId)
    .execute()
  const detail = { fingerprint, replaces, notAfter: new Date(notAfter).toISOString() }
  await appendAudit(transaction, { at, actor, action: 'issuer.renew', target: issuerId, detail })
  return appendChange(transaction, { kind: 'issuer', at, issuerId })
}

/** Whether it has CRLs, which are deleted in slices: until they are gone it is disabled, on record, and without them. */
async function putOutOfUse(
  transaction: Transaction<Schema>,
  issuerId: string,
  actor: Actor,
  at: number,
): Promise<boolean> {
  await anchorIn(transaction, issuerId)
  await assertIssuerSeen(transaction, actor, issuerId)
  await assertUnused(transaction, issuerId)
  if ((await rowsOf(transaction, 'SELECT 1 FROM issuer_crls WHERE issuer_id = ?', issuerId)).length === 0)
    return false
  await run(transaction, 'UPDATE issuers SET enabled = 0, crl_id = NULL WHERE id = ?', issuerId)
  // The request stands for the removal, which comes last.
  const { name, kind } = actor
  await appendAudit(transaction, { at, actor: { name, kind }, action: 'issuer.disable', target: issuerId })
  await appendChange(transaction, { kind: 'issuer', at, issuerId })
  return true
}

async function remove(
  transaction: Transaction<Schema>,
  issuerId: string,
  actor: Actor,
  at: number,
): Promise<number> {
  await anchorIn(transaction, issuerId)
  await assertUnused(transaction, issuerId)
  await run(transaction, 'UPDATE issuers SET crl_id = NULL WHERE id = ?', issuerId)
  for (const table of rowsAbout) await run(transaction, `DELETE FROM ${table} WHERE issuer_id = ?`, issuerId)
  await run(transaction, 'DELETE FROM issuers WHERE id = ?', issuerId)
  await appendAudit(transaction, { at, actor, action: 'issuer.remove', target: issuerId })
  return appendChange(transaction, { kind: 'issuer', at, issuerId })
}

/** What is said about an anchor alone, in the order in which it can go. */
const rowsAbout = [
  'arrivals',
  'anchor_enrollments',
  'tpm_anchors',
  'trust_anchors',
  'issuer_crls',
  'replaced_issuer_certificates',
] as const

const dropRevocationsSql = `DELETE FROM issuer_revocations WHERE (crl_id, serial_number) IN
  (SELECT r.crl_id, r.serial_number FROM issuer_crls l JOIN issuer_revocations r ON r.crl_id = l.id
   WHERE l.issuer_id = ? LIMIT ?)`

const uses = {
  'a certificate on record': 'SELECT 1 FROM certificates WHERE issuer_id = ? LIMIT 1',
  'a CA below it': 'SELECT 1 FROM issuers WHERE parent_id = ? LIMIT 1',
  'a device that registered itself': 'SELECT 1 FROM auto_registrations WHERE issuer_id = ? LIMIT 1',
  'a device that enrolled with its IDevID': 'SELECT 1 FROM idevids WHERE issuer_id = ? LIMIT 1',
  'a device whose TPM it vouches for': 'SELECT 1 FROM endorsement_keys WHERE issuer_id = ? LIMIT 1',
  'a policy that is attached to it':
    "SELECT 1 FROM policy_attachments WHERE kind = 'issuer' AND target = ? LIMIT 1",
} as const

async function assertUnused(transaction: Transaction<Schema>, issuerId: string): Promise<void> {
  for (const [what, sql] of Object.entries(uses)) {
    if ((await rowsOf(transaction, sql, issuerId)).length > 0)
      throw new Conflict('issuer_in_use', `${what} names it: it may be disabled, not removed`)
  }
}
