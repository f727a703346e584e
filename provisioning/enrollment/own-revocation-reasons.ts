// The reasons with which a device may revoke its own certificate.
import type { RevocationReason } from '../../pki/revocation-reason.ts'

/** CRLReason (RFC 5280 §5.3.1) without what an operator decides: keyCompromise ends all that the key obtained, also for its owner. */
export const ownRevocationReasons: Readonly<Record<number, RevocationReason>> = {
  0: 'unspecified',
  3: 'affiliationChanged',
  4: 'superseded',
  5: 'cessationOfOperation',
}
