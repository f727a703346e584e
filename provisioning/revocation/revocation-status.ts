// The status of a certificate as CRL and OCSP give it (RFC 5280 §5.3.1, RFC 6960 §2.2). Pure.
// One rule for both: what the record keeps from entering, other than by time or with its issuer, is not good.
import type { RevocationRow } from '../../db/issuers/revocation-reader.ts'
import type { RevocationReason } from '../../pki/revocation-reason.ts'

export type Reason = RevocationReason | 'certificateHold'
/** `at` in ms since the epoch: since when it is not good. */
export type RevocationStatus = { good: true } | { good: false; reason: Reason; at: number }

/** CRLReason. */
export const reasonCodes: Readonly<Record<Reason, number>> = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
  aACompromise: 10,
}

/** What may be lifted again is a hold; what is final is a revocation. */
export function revocationStatusOf(row: RevocationRow): RevocationStatus {
  const { status, revocationReason, issuedAt, changedAt, deviceState, deviceChangedAt } = row
  const since = changedAt ?? issuedAt
  switch (status) {
    case 'revoked':
      return bad((revocationReason ?? 'unspecified') as Reason, row.revokedAt ?? since)
    case 'rejected':
      return bad('privilegeWithdrawn', since)
    case 'retired':
      return bad('superseded', row.graceUntil ?? since)
    case 'lapsed':
      return bad('cessationOfOperation', since)
  }
  if (deviceState === 'decommissioned') return bad('cessationOfOperation', deviceChangedAt ?? since)
  if (status === 'suspended' || status === 'pending') return bad('certificateHold', since)
  if (deviceState === 'suspended') return bad('certificateHold', deviceChangedAt ?? since)
  return { good: true }
}

function bad(reason: Reason, at: number): RevocationStatus {
  return { good: false, reason, at }
}
