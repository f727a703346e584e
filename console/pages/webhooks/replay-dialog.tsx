// Sends all events since a time to a webhook again.
import { useState } from 'react'
import { change } from '../../api/request.ts'
import { Confirmation } from '../../components/confirmation.tsx'
import { Field } from '../../components/field.tsx'

const spans = [
  { hours: 1, title: 'the last hour' },
  { hours: 24, title: 'the last day' },
  { hours: 72, title: 'the last three days' },
  { hours: 168, title: 'the last seven days: all that the log holds' },
] as const
const HOUR_MS = 3_600_000

export function ReplayDialog({
  path,
  onDone,
  onClose,
}: {
  path: string
  onDone: () => void
  onClose: () => void
}) {
  const [hours, setHours] = useState(1)
  const act = () =>
    change('POST', `${path}/replay`, { since: new Date(Date.now() - hours * HOUR_MS).toISOString() })
  return (
    <Confirmation
      title="Send events again"
      word={null}
      verb="Replay"
      danger={false}
      act={act}
      onDone={onDone}
      onClose={onClose}
    >
      <p className="soft">
        Those that the receiver took are sent again, too, under the same webhook-id. A disabled webhook is
        sent them once it is enabled.
      </p>
      <Field label="Events of">
        {link => (
          <select {...link} value={hours} onChange={event => setHours(Number(event.target.value))}>
            {spans.map(span => (
              <option key={span.hours} value={span.hours}>
                {span.title}
              </option>
            ))}
          </select>
        )}
      </Field>
    </Confirmation>
  )
}
