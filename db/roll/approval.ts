// Whether a certificate waits for an operator, asked in the transaction that decides about it: what the device holds, and which
// rights it has, may have changed since the request, token or claim was made.
import type { Transaction } from 'kysely'
import type { Schema } from '../schema.ts'
import { rowsOf } from '../statement.ts'
import { holdsCertificate } from './admissible-certificates.ts'

export type ApprovalTerms = {
  /** Where the device holds a certificate. */
  ifHeld: boolean
  /**
   * Where the device has rights beyond the policies of everyone, of its issuer and of this one group, or is no member of it;
   * '' where none of a group may be handed on, null where any may.
   */
  within: string | null
}
/** Whether a certificate waits for an operator: always, never, or on these terms. */
export type Approval = boolean | ApprovalTerms

/** `at` in ms since the epoch. */
export async function waitsForApproval(
  transaction: Transaction<Schema>,
  deviceId: string,
  approval: Approval,
  at: number,
): Promise<boolean> {
  if (typeof approval === 'boolean') return approval
  if (approval.ifHeld && (await holdsCertificate(transaction, deviceId, at))) return true
  return approval.within !== null && (await hasRightsBeyond(transaction, deviceId, approval.within))
}

/** Whether a device has policies of its own, or of another group than this one, or is no member of it ('' for no group). */
export async function hasRightsBeyond(
  transaction: Transaction<Schema>,
  deviceId: string,
  group: string,
): Promise<boolean> {
  const rows = await rowsOf(transaction, beyondSql, deviceId, deviceId, group, group, deviceId, group)
  return rows.length > 0
}

const beyondSql = `SELECT 1 FROM policy_attachments WHERE kind = 'device' AND target = ?
  UNION ALL SELECT 1 FROM device_groups g JOIN policy_attachments a ON a.kind = 'group' AND a.target = g.name
    WHERE g.device_id = ? AND g.name <> ?
  UNION ALL SELECT 1 WHERE ? <> '' AND NOT EXISTS (SELECT 1 FROM device_groups WHERE device_id = ? AND name = ?)
  LIMIT 1`
