// Walks the whole log when asked to, and says whether any row was changed, removed or put elsewhere.
import { useState } from 'react'
import type { AuditVerification } from '../../../client/types.ts'
import { ask } from '../../api/request.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Fingerprint } from '../../components/fingerprint.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { count, many } from '../../labels/formats.ts'

export function VerificationCard() {
  const [said, setSaid] = useState<{ verification: AuditVerification; at: number; ms: number } | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const [busy, setBusy] = useState(false)
  const verify = async () => {
    setBusy(true)
    setFailure(null)
    const began = performance.now()
    try {
      const verification = await ask<AuditVerification>('/v1/audit/verification')
      setSaid({ verification, at: Date.now(), ms: Math.round(performance.now() - began) })
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  const verification = said?.verification
  return (
    <Card
      title="Verification"
      aside={
        <Button small look={said === null ? 'primary' : 'plain'} busy={busy} onClick={() => void verify()}>
          {busy ? 'Walking the log…' : said === null ? 'Verify now' : 'Verify again'}
        </Button>
      }
    >
      <FailureNotice failure={failure} />
      <div role="status">
        {said === null || verification === undefined ? (
          <p className="soft small">
            Checks every row's hash and every signed checkpoint, from the first to the last. It reads the log
            as it is on the disk now; <code>rollcall audit verify</code> does the same away from this machine.
          </p>
        ) : verification.fault === null ? (
          <div className="stack tight">
            <div className="row">
              <Badge tone="good" dot>
                intact
              </Badge>
              <span>
                {many(verification.rows, 'row')}, {many(verification.checkpoints, 'checkpoint')}, verified{' '}
                <Timestamp at={said.at} /> in {count(said.ms)} ms
              </span>
            </div>
            <dl className="facts small">
              <dt>Sealed through</dt>
              <dd>
                row {count(verification.sealedThrough)}
                {verification.unsealedRows > 0
                  ? `; ${many(verification.unsealedRows, 'newer row')} to be sealed within a minute`
                  : ''}
              </dd>
              <dt>Last hash</dt>
              <dd>
                <Fingerprint of={verification.lastHash} what="hash" />
              </dd>
            </dl>
          </div>
        ) : (
          <Notice tone="bad" title={`The log was tampered with, first at row ${verification.fault.seq}.`}>
            <p>{verification.fault.message}</p>
            <p className="small">
              Keep the disk as it is, and compare with a backup or an exported checkpoint.
            </p>
          </Notice>
        )}
      </div>
    </Card>
  )
}
