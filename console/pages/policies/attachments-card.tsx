// For whom a policy holds: everyone, groups, devices, issuers; to add to, and to take from.
import { type FormEvent, useState } from 'react'
import type { AttachmentReceipt, PolicyAttachment } from '../../../client/policy-types.ts'
import { change } from '../../api/call.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { Confirmation } from '../../parts/confirmation.tsx'
import { Empty, Skeleton } from '../../parts/empty.tsx'
import { Field } from '../../parts/field.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { ReceiptView, timed } from '../../parts/receipt.tsx'
import { ShowMore } from '../../parts/show-more.tsx'
import { attachmentText } from './attachment-text.ts'

export function AttachmentsCard({ name, onChanged }: { name: string; onChanged: () => void }) {
  const base = `/v1/policies/${encodeURIComponent(name)}/attachments`
  const { items, failure, waiting, more, fetching, again } = usePages<PolicyAttachment>(`${base}?limit=100`)
  const [asked, setAsked] = useState<{ attach: boolean; attachment: PolicyAttachment } | null>(null)
  const may = useMay('operator')
  const act = (attach: boolean, { kind, target }: PolicyAttachment) =>
    change<AttachmentReceipt>(
      attach ? 'PUT' : 'DELETE',
      kind === 'everyone' ? `${base}/everyone` : `${base}/${kind}/${encodeURIComponent(target)}`,
    )
  const changed = () => {
    again()
    onChanged()
  }
  return (
    <>
      {may ? <AttachForm onAsk={attachment => setAsked({ attach: true, attachment })} /> : null}
      <FailureNotice failure={failure} again={again} />
      <Card title="Holds for" flush>
        {waiting ? <Skeleton /> : null}
        {!waiting && items.length === 0 ? (
          <Empty icon="policies" title="Nobody yet">
            <p>Attach it to everyone, a group, a device or an issuer. Until then it changes nothing.</p>
          </Empty>
        ) : null}
        <ul className="list">
          {items.map(attachment => (
            <li key={attachmentText(attachment)} className="row apart">
              <span className="break">{attachmentText(attachment)}</span>
              {may ? (
                <Button small look="danger" onClick={() => setAsked({ attach: false, attachment })}>
                  Detach…
                </Button>
              ) : null}
            </li>
          ))}
        </ul>
        <ShowMore more={more} busy={fetching} />
      </Card>
      {asked === null ? null : (
        <Confirmation
          title={`${asked.attach ? 'Attach' : 'Detach'} ${name}`}
          word={asked.attach ? null : name}
          verb={asked.attach ? 'Attach' : 'Detach'}
          danger={!asked.attach}
          act={() => timed(() => act(asked.attach, asked.attachment))}
          onDone={changed}
          onClose={() => setAsked(null)}
          result={done => <ReceiptView first={done} again={() => act(asked.attach, asked.attachment)} />}
        >
          <p className="soft">
            {asked.attach
              ? `It holds for ${attachmentText(asked.attachment)} from now on, live sessions included.`
              : `What it allowed ${attachmentText(asked.attachment)} is taken away now: subscriptions that nothing else allows are dropped.`}
          </p>
        </Confirmation>
      )}
    </>
  )
}

function AttachForm({ onAsk }: { onAsk: (attachment: PolicyAttachment) => void }) {
  const [kind, setKind] = useState<PolicyAttachment['kind']>('group')
  const [target, setTarget] = useState('')
  const submit = (event: FormEvent) => {
    event.preventDefault()
    onAsk({ kind, target: kind === 'everyone' ? '' : target.trim() })
  }
  return (
    <Card title="Attach">
      <form className="filters" onSubmit={submit}>
        <Field label="To">
          {link => (
            <select
              {...link}
              value={kind}
              onChange={event => setKind(event.target.value as PolicyAttachment['kind'])}
            >
              <option value="group">a group</option>
              <option value="device">a device</option>
              <option value="issuer">an issuer</option>
              <option value="everyone">everyone</option>
            </select>
          )}
        </Field>
        {kind === 'everyone' ? null : (
          <Field
            label={kind === 'group' ? 'Group' : kind === 'device' ? 'Device ID' : 'Fingerprint of the issuer'}
            wide
          >
            {link => (
              <input
                {...link}
                required
                spellCheck={false}
                autoComplete="off"
                value={target}
                onChange={event => setTarget(event.target.value)}
              />
            )}
          </Field>
        )}
        <Button type="submit" disabled={kind !== 'everyone' && target.trim() === ''}>
          Attach…
        </Button>
      </form>
    </Card>
  )
}
