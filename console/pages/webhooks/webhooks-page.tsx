// Webhooks: where events are sent, how that goes, and a try.
import { useState } from 'react'
import type { Webhook } from '../../../client/webhooks.ts'
import { useGroup, useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Card } from '../../components/card.tsx'
import { CopyButton } from '../../components/copy-button.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { SaveButton } from '../../components/save-button.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { WebhookCard } from './webhook-card.tsx'
import { WebhookForm } from './webhook-form.tsx'

const FRESH_MS = 5_000

export function WebhooksPage() {
  const may = useMay('admin')
  const whole = useGroup() === null
  return (
    <>
      <PageHeader
        title="Webhooks"
        lead="Each event is sent at least once, signed as Standard Webhooks has it. A receiver that takes nothing for 24 hours is disabled."
      />
      {may && whole ? (
        <Webhooks />
      ) : (
        <section className="card">
          <Empty icon="webhooks" title="Webhooks are managed with the role admin">
            <p>Of an admin that is bound to no group.</p>
          </Empty>
        </section>
      )}
    </>
  )
}

function Webhooks() {
  const { items, failure, loading, more, fetching, refetch } = usePages<Webhook>('/v1/webhooks?limit=50', {
    everyMs: FRESH_MS,
  })
  const [made, setMade] = useState<(Webhook & { secret: string }) | null>(null)
  return (
    <>
      {made === null ? (
        <WebhookForm
          onMade={webhook => {
            setMade(webhook)
            refetch()
          }}
        />
      ) : (
        <Card
          title="The secret of the webhook"
          aside={
            <>
              <CopyButton text={made.secret} label="Copy the secret" words />
              <SaveButton name="webhook.secret" text={`${made.secret}\n`}>
                webhook.secret
              </SaveButton>
            </>
          }
        >
          <Notice tone="warn" title="This is the only time that the secret is shown.">
            <p className="small break">The receiver at {made.url} checks signatures with it.</p>
          </Notice>
          <div className="row">
            <button type="button" className="button" onClick={() => setMade(null)}>
              I have it; hide the secret
            </button>
          </div>
        </Card>
      )}
      <FailureNotice failure={failure} refetch={refetch} />
      {loading ? <Skeleton lines={4} /> : null}
      {items.map(webhook => (
        <WebhookCard key={webhook.id} webhook={webhook} onChanged={refetch} />
      ))}
      <ShowMore more={more} busy={fetching} />
    </>
  )
}
