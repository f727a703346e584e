// The policies there are: how many statements each has, and its attachments.
import { type FormEvent, useState } from 'react'
import type { PolicySummary } from '../../../client/policy-types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TextField } from '../../components/text-field.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { Link } from '../../routing/link.tsx'
import { navigate } from '../../routing/location.ts'
import { attachmentLabel } from './attachment-label.ts'

const SHOWN = 3

export function PoliciesPage() {
  const { items, failure, loading, more, fetching, refetch } =
    usePages<PolicySummary>('/v1/policies?limit=100')
  const [naming, setNaming] = useState(false)
  const may = useMay('operator')
  return (
    <>
      <PageHeader
        title="Policies"
        lead="Topics that devices may publish and subscribe to. Only a statement allows; a deny wins. A change takes effect on live sessions within a second."
        actions={
          may ? (
            <Button look="primary" icon="enroll" onClick={() => setNaming(true)}>
              New policy
            </Button>
          ) : null
        }
      />
      <FailureNotice failure={failure} refetch={refetch} />
      <Card title="All policies" flush>
        <DataTable
          label="Policies"
          layout="fits"
          rows={items}
          rowKey={policy => policy.name}
          loading={loading}
          skeletonLines={4}
          failure={failure}
          empty={
            <Empty icon="policies" title="There is no policy">
              <p>Devices may connect, and neither publish nor subscribe, until a policy allows it.</p>
            </Empty>
          }
          columns={[
            {
              title: 'Name',
              rowHeader: true,
              cell: ({ name }) => <Link to={`/policies/${encodeURIComponent(name)}`}>{name}</Link>,
            },
            { title: 'Statements', className: 'end wide-only', cell: policy => policy.statementsTotal },
            { title: 'Holds for', cell: policy => <Attachments of={policy} /> },
            {
              title: 'Changed',
              className: 'tight wide-only',
              cellClass: 'faint',
              cell: policy => <Timestamp at={policy.updatedAt} />,
            },
          ]}
        />
        <ShowMore more={more} busy={fetching} />
      </Card>
      {naming ? <NameDialog onClose={() => setNaming(false)} /> : null}
    </>
  )
}

function Attachments({ of: { attachments, attachmentsTotal } }: { of: PolicySummary }) {
  return (
    <>
      {attachmentsTotal === 0 ? <span className="faint">nobody yet</span> : null}
      <div className="tags">
        {attachments.slice(0, SHOWN).map(attachment => (
          <span className="tag" key={attachmentLabel(attachment)}>
            {attachmentLabel(attachment)}
          </span>
        ))}
        {attachmentsTotal > SHOWN ? <span className="faint small">+{attachmentsTotal - SHOWN}</span> : null}
      </div>
    </>
  )
}

function NameDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('')
  const valid = /^[A-Za-z0-9._-]{1,64}$/.test(name)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (valid) navigate(`/policies/${encodeURIComponent(name)}`)
  }
  return (
    <Dialog title="New policy" onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <TextField
          label="Name"
          hint="1 to 64 of A–Z a–z 0–9 . _ -"
          fault={name === '' || valid ? null : 'This is no name of a policy.'}
          value={name}
          onValue={setName}
        />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look="primary" disabled={!valid}>
            Write it
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
