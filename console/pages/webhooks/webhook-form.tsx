// A new webhook: its URL, and the kinds of events it is told.
import { type FormEvent, useState } from 'react'
import type { Webhook } from '../../../client/webhooks.ts'
import { change } from '../../api/request.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice, fieldError } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { eventKinds } from '../../labels/events.ts'
import { humanize } from '../../labels/reasons.ts'

export function WebhookForm({ onMade }: { onMade: (made: Webhook & { secret: string }) => void }) {
  const [url, setUrl] = useState('')
  const [kinds, setKinds] = useState<ReadonlySet<string>>(new Set())
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    try {
      onMade(await change('POST', '/v1/webhooks', { url: url.trim(), kinds: [...kinds] }))
      setUrl('')
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  const toggle = (kind: string, on: boolean) => {
    const next = new Set(kinds)
    if (on) next.add(kind)
    else next.delete(kind)
    setKinds(next)
  }
  return (
    <Card title="Add a webhook">
      <form className="stack" onSubmit={submit}>
        <TextField
          label="URL"
          hint="https, to a public address, unless the service's settings allow others"
          fault={fieldError(failure, 'url')}
          wide
          type="url"
          required
          maxLength={2_048}
          value={url}
          onValue={setUrl}
        />
        <details>
          <summary>
            {kinds.size === 0
              ? 'All kinds of events'
              : `${kinds.size} of ${eventKinds.length} kinds of events`}
          </summary>
          <fieldset className="plain row">
            <legend className="hidden-from-sight">Kinds of events; none for all</legend>
            {eventKinds.map(kind => (
              <label key={kind} className="check">
                <input
                  type="checkbox"
                  checked={kinds.has(kind)}
                  onChange={event => toggle(kind, event.target.checked)}
                />
                {humanize(kind)}
              </label>
            ))}
          </fieldset>
        </details>
        <FailureNotice failure={failure} />
        <div className="row">
          <Button type="submit" look="primary" busy={busy} disabled={url.trim() === ''}>
            Add the webhook
          </Button>
        </div>
      </form>
    </Card>
  )
}
