// The attachments of a policy: everyone, groups, devices, issuers; to add and to remove.
import { type FormEvent, useState } from 'react'
import type { AttachmentReceipt, PolicyAttachment } from '../../../client/policy-types.ts'
import { change } from '../../api/request.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Confirmation } from '../../components/confirmation.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { ReceiptView, timed } from '../../components/receipt.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TextField } from '../../components/text-field.tsx'
import { attachmentLabel } from './attachment-label.ts'

export function AttachmentsCard({ name, onChanged }: { name: string; onChanged: () => void }) {
  const base = `/v1/policies/${encodeURIComponent(name)}/attachments`
  const { items, failure, loading, more, fetching, refetch } = usePages<PolicyAttachment>(`${base}?limit=100`)
  const [asked, setAsked] = useState<{ attach: boolean; attachment: PolicyAttachment } | null>(null)
  const may = useMay('operator')
  const act = (attach: boolean, { kind, target }: PolicyAttachment) =>
    change<AttachmentReceipt>(
      attach ? 'PUT' : 'DELETE',
      kind === 'everyone' ? `${base}/everyone` : `${base}/${kind}/${encodeURIComponent(target)}`,
    )
  const changed = () => {
    refetch()
    onChanged()
  }
  return (
    <>
      {may ? <AttachForm onAsk={attachment => setAsked({ attach: true, attachment })} /> : null}
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="Holds for" flush>
        {loading ? <Skeleton /> : null}
        {!loading && items.length === 0 ? (
          <Empty icon="policies" title="No attachments yet">
            <p>Attach it to everyone, a group, a device or an issuer. Until then it changes nothing.</p>
          </Empty>
        ) : null}
        <ul className="list">
          {items.map(attachment => (
            <li key={attachmentLabel(attachment)} className="row apart">
              <span className="break">{attachmentLabel(attachment)}</span>
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
          result={done => <ReceiptView first={done} refetch={() => act(asked.attach, asked.attachment)} />}
        >
          <p className="soft">
            {asked.attach
              ? `It holds for ${attachmentLabel(asked.attachment)} from now on, live sessions included.`
              : `What it allowed ${attachmentLabel(asked.attachment)} is taken away now: subscriptions that nothing else allows are dropped.`}
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
          <TextField
            label={kind === 'group' ? 'Group' : kind === 'device' ? 'Device ID' : 'Fingerprint of the issuer'}
            wide
            required
            value={target}
            onValue={setTarget}
          />
        )}
        <Button type="submit" disabled={kind !== 'everyone' && target.trim() === ''}>
          Attach…
        </Button>
      </form>
    </Card>
  )
}
