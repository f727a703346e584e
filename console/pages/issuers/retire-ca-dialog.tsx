// Retiring an issuing CA that has handed over: its certificates admit nobody any more.
import { useState } from 'react'
import type { CaRecord } from '../../../client/ca.ts'
import type { IssuerReceipt } from '../../../client/types.ts'
import { change } from '../../api/request.ts'
import { Confirmation } from '../../components/confirmation.tsx'
import { ReceiptView, type TimedReceipt, timed } from '../../components/receipt.tsx'
import { many } from '../../labels/formats.ts'

export function RetireCaDialog({
  issuer,
  onDone,
  onClose,
}: {
  issuer: CaRecord['issuing'][number]
  onDone: () => void
  onClose: () => void
}) {
  const [force, setForce] = useState(false)
  const act = () =>
    change<IssuerReceipt>('POST', `/v1/ca/issuers/${issuer.id}/retire`, force ? { force } : {})
  return (
    <Confirmation<TimedReceipt>
      title={`Retire ${issuer.name}`}
      word={issuer.name}
      verb="Retire"
      act={() => timed(act)}
      onDone={onDone}
      onClose={onClose}
      result={first => <ReceiptView first={first} refetch={act} />}
    >
      <p className="soft">
        Its certificates admit no device any more, and sessions with one are cut.{' '}
        {many(issuer.devices, 'device')} still {issuer.devices === 1 ? 'relies' : 'rely'} on it.
      </p>
      <label className="check">
        <input type="checkbox" checked={force} onChange={event => setForce(event.target.checked)} />
        Also while devices rely on it
      </label>
    </Confirmation>
  )
}
