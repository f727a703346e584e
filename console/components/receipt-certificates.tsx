// The certificates that a receipt names: those revoked together, and those that admit the device all the same.
import type { CertificateReceipt, Receipt, RevocationReceipt } from '../../client/types.ts'
import { many } from '../labels/formats.ts'

const reasons = {
  named: 'as asked',
  key: 'it has the same key',
  lineage: 'it was obtained with that key',
} as const

/** Rows of a list of facts; none where the receipt is about something else. */
export function ReceiptCertificates({ receipt }: { receipt: Receipt }) {
  const { revoked = [], stillAdmitting = [] } = receipt as Partial<RevocationReceipt & CertificateReceipt>
  return (
    <>
      {revoked.length < 2 ? null : (
        <>
          <dt>Revoked together</dt>
          <dd>
            {many(revoked.length, 'certificate')}
            {revoked.map(({ fingerprint, because }) => (
              <div key={fingerprint} className="small">
                <code>{fingerprint.slice(0, 16)}…</code> {reasons[because]}
              </div>
            ))}
          </dd>
        </>
      )}
      {stillAdmitting.length === 0 ? null : (
        <>
          <dt>Still admitted by</dt>
          <dd>
            {stillAdmitting.map(({ fingerprint, status }) => (
              <div key={fingerprint} className="small">
                <code>{fingerprint.slice(0, 16)}…</code> {status}
              </div>
            ))}
          </dd>
        </>
      )}
    </>
  )
}
