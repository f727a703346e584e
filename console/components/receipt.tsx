// The receipt of a change: brokers that acknowledged it, sessions they cut, and brokers still pending, asked for again.
import { useEffect, useRef, useState } from 'react'
import type { Receipt } from '../../client/types.ts'
import { many } from '../labels/formats.ts'
import { Badge } from './badge.tsx'
import { ReceiptCertificates } from './receipt-certificates.tsx'

export type TimedReceipt = { receipt: Receipt; milliseconds: number }

const ASK_AGAIN_MS = 2_000
const ASKED_MAX = 15

/** Does a change that answers with a receipt, and says how long that took. */
export async function timed(act: () => Promise<Receipt>): Promise<TimedReceipt> {
  const began = performance.now()
  const receipt = await act()
  return { receipt, milliseconds: Math.round(performance.now() - began) }
}

/** `refetch` repeats the same change, which changes nothing more and gives its receipt as it is now. */
export function ReceiptView({ first, refetch }: { first: TimedReceipt; refetch: () => Promise<Receipt> }) {
  const [receipt, setReceipt] = useState(first.receipt)
  const asked = useRef(0)
  const { epoch, nodesTotal, nodesAcknowledged, sessionsCut, unreachable } = receipt
  const complete = unreachable.length === 0
  useEffect(() => {
    if (complete || asked.current >= ASKED_MAX) return
    const timer = setTimeout(() => {
      asked.current += 1
      refetch().then(setReceipt, () => setReceipt({ ...receipt }))
    }, ASK_AGAIN_MS)
    return () => clearTimeout(timer)
  }, [receipt, complete, refetch])
  return (
    <div className="stack tight" role="status">
      <div className="row">
        <Badge tone={complete ? 'good' : 'warn'} dot>
          {complete ? 'every broker acted' : 'some brokers are awaited'}
        </Badge>
        <span className="faint small">within {first.milliseconds} ms</span>
      </div>
      <dl className="facts">
        <dt>Brokers</dt>
        <dd>
          {nodesAcknowledged} of {nodesTotal} acknowledged
          {nodesTotal === 0 ? ': none is running, and none will admit it when one starts' : ''}
        </dd>
        <dt>Sessions cut</dt>
        <dd>{many(sessionsCut, 'session')}</dd>
        <ReceiptCertificates receipt={receipt} />
        <dt>Epoch</dt>
        <dd className="number">{epoch}</dd>
        {complete ? null : (
          <>
            <dt>Awaited</dt>
            <dd>
              {unreachable.join(', ')}
              <div className="small faint">
                On record all the same: a broker reads every new connection's right from the registry, and
                cuts what it holds as soon as it reads on.
              </div>
            </dd>
          </>
        )}
      </dl>
    </div>
  )
}
