// Saves a draft: first tries it on the fleet, to show which rights would be lost.
import { useState } from 'react'
import type { PolicyReceipt, PolicyTrial } from '../../../client/policy-types.ts'
import { change } from '../../api/request.ts'
import { Button } from '../../components/button.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { ReceiptView, type TimedReceipt, timed } from '../../components/receipt.tsx'
import { many } from '../../labels/formats.ts'
import type { DraftValidation } from './draft.ts'

export function SaveDraft({
  name,
  validation,
  version,
  dirty,
  onDiscard,
  onSaved,
}: {
  name: string
  validation: DraftValidation
  /** Null for a policy that does not exist yet. */
  version: string | null
  /** Whether there is something to save; the receipt of what was saved stays until it is closed. */
  dirty: boolean
  onDiscard: (() => void) | null
  onSaved: () => void
}) {
  const [trial, setTrial] = useState<(PolicyTrial & { fresh: boolean }) | null>(null)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const path = `/v1/policies/${encodeURIComponent(name)}`
  const consider = async () => {
    setBusy(true)
    setFailure(null)
    try {
      const asked = { document: validation.document, limit: 1 }
      const said = await change<PolicyTrial>('POST', `${path}/simulate/fleet`, asked)
      setTrial({ ...said, fresh: version === null })
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  const save = () =>
    change<PolicyReceipt>('PUT', path, validation.document, {
      headers: version === null ? {} : { 'If-Match': `"${version}"` },
    })
  const loses = trial !== null && trial.devicesLosing > 0
  return (
    <>
      {dirty ? (
        <>
          {onDiscard === null ? null : <Button onClick={onDiscard}>Discard</Button>}
          <Button
            look="primary"
            busy={busy}
            disabled={validation.document === null}
            onClick={() => void consider()}
          >
            {busy ? 'Trying it…' : 'Save…'}
          </Button>
        </>
      ) : null}
      <FailureNotice failure={failure} />
      {trial === null ? null : (
        <Confirmation<TimedReceipt>
          title={trial.fresh ? `Create ${name}` : `Replace ${name}`}
          word={loses ? name : null}
          verb={trial.fresh ? 'Create' : 'Replace'}
          danger={loses}
          act={() => timed(save)}
          onClose={() => setTrial(null)}
          onDone={onSaved}
          result={done => <ReceiptView first={done} refetch={async () => done.receipt} />}
        >
          <p className="soft">
            Takes effect on live sessions within a second.
            {trial.fresh ? ' It holds for nobody until it is attached.' : ''}
          </p>
          {loses ? (
            <Notice tone="warn" title={`${many(trial.devicesLosing, 'device')} would lose something.`}>
              <p className="small">
                {many(trial.subscriptionsLost, 'live subscription')} would be dropped now. "Effect on the
                fleet" names them.
              </p>
            </Notice>
          ) : (
            <Notice tone="good" title="No device would lose anything." />
          )}
        </Confirmation>
      )}
    </>
  )
}
