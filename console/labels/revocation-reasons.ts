// Why a certificate ends for good, as the API takes it (RFC 5280 §5.3.1), the likeliest first.
export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'cessationOfOperation',
  'superseded',
  'affiliationChanged',
  'privilegeWithdrawn',
  'cACompromise',
  'aACompromise',
] as const
