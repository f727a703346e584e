// Why a certificate ends for good, in the words of RFC 5280 §5.3.1. A hold is no revocation: it is a suspension.

export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
  'aACompromise',
] as const
export type RevocationReason = (typeof revocationReasons)[number]
