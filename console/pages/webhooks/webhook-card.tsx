// One webhook: how its deliveries go; to try, to disable or enable, and to remove.
import { useState } from 'react'
import type { Webhook, WebhookTest } from '../../../client/webhooks.ts'
import { change } from '../../api/request.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { many } from '../../labels/formats.ts'
import { humanize } from '../../labels/reasons.ts'
import { Deliveries } from './deliveries.tsx'
import { ReplayDialog } from './replay-dialog.tsx'

/** Of `disabledReason`. */
const disabledReasons: Readonly<Record<string, string>> = {
  operator: 'by an operator',
  operator_revoked: 'the credential of the operator that answered for it was revoked',
  gone: 'it answered 410',
  unreachable: 'it took nothing for a day',
}

export function WebhookCard({ webhook, onChanged }: { webhook: Webhook; onChanged: () => void }) {
  const path = `/v1/webhooks/${encodeURIComponent(webhook.id)}`
  const [busy, setBusy] = useState(false)
  const [tried, setTried] = useState<WebhookTest | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const [removing, setRemoving] = useState(false)
  const [replaying, setReplaying] = useState(false)
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true)
    setFailure(null)
    await work().catch(setFailure)
    setBusy(false)
    onChanged()
  }
  const disabled = webhook.state === 'disabled'
  return (
    <Card title={shortened(webhook.url)} aside={<StateBadge state={webhook.state} />}>
      <dl className="facts">
        <dt>URL</dt>
        <dd className="break mono small">{webhook.url}</dd>
        <dt>Told</dt>
        <dd>{webhook.kinds.length === 0 ? 'every kind of event' : webhook.kinds.map(humanize).join(', ')}</dd>
        <dt>Made</dt>
        <dd>
          <Timestamp at={webhook.createdAt} /> by {webhook.createdBy}
        </dd>
        <dt>Last taken</dt>
        <dd>
          <Timestamp at={webhook.deliveredAt} />
        </dd>
        <dt>Last attempt</dt>
        <dd className="break">
          <Timestamp at={webhook.attemptedAt} />
          {webhook.status === null ? '' : `, answered ${webhook.status}`}
          {webhook.why === null ? '' : `: ${webhook.why}`}
        </dd>
        {webhook.failures === 0 ? null : (
          <>
            <dt>Failed</dt>
            <dd>
              {many(webhook.failures, 'attempt')} in a row
              {webhook.nextAttemptAt === null ? null : (
                <>
                  , next <Timestamp at={webhook.nextAttemptAt} />
                </>
              )}
            </dd>
          </>
        )}
        {disabled ? (
          <>
            <dt>Disabled</dt>
            <dd>
              <Timestamp at={webhook.disabledAt} />
              {webhook.disabledReason === null
                ? ''
                : `: ${disabledReasons[webhook.disabledReason] ?? webhook.disabledReason}`}
              . What happens meanwhile is sent once it is enabled, as far as the log holds it.
            </dd>
          </>
        ) : null}
      </dl>
      {tried === null ? null : (
        <p role="status" className="row">
          <Badge tone={tried.delivered ? 'good' : 'bad'}>{tried.delivered ? 'taken' : 'not taken'}</Badge>
          <span className="small soft break">
            {tried.status === null ? '' : `answered ${tried.status} `}within {tried.milliseconds} ms
            {tried.why === null ? '' : `: ${tried.why}`}
          </span>
        </p>
      )}
      <Deliveries path={path} enabled={!disabled} />
      <FailureNotice failure={failure} />
      <div className="row">
        <Button
          small
          busy={busy}
          onClick={() => void attempt(async () => setTried(await change('POST', `${path}/test`)))}
        >
          Send a test
        </Button>
        <Button
          small
          busy={busy}
          onClick={() => void attempt(async () => void (await change('PATCH', path, { enabled: disabled })))}
        >
          {disabled ? 'Enable' : 'Disable'}
        </Button>
        <Button small onClick={() => setReplaying(true)}>
          Replay…
        </Button>
        <Button small look="danger" onClick={() => setRemoving(true)}>
          Remove…
        </Button>
      </div>
      {replaying ? <ReplayDialog path={path} onDone={onChanged} onClose={() => setReplaying(false)} /> : null}
      {removing ? (
        <Confirmation
          title="Remove the webhook"
          word="remove"
          verb="Remove"
          act={() => change('DELETE', path)}
          onDone={onChanged}
          onClose={() => setRemoving(false)}
        >
          <p className="soft break">{webhook.url} is told nothing any more. Its secret is forgotten.</p>
        </Confirmation>
      ) : null}
    </Card>
  )
}

/** Its origin: the path may be a secret of the receiver. */
function shortened(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url.slice(0, 60)
}
