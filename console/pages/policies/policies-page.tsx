// The policies there are: how many statements each has, and for whom it holds.
import { type FormEvent, useState } from 'react'
import type { PolicySummary } from '../../../client/policy-types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { ShowMore } from '../../components/show-more.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
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
        lead="Who may publish and subscribe where. Nothing is allowed but what a statement allows; a deny wins. A change takes effect on live sessions within a second."
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
        {loading ? <Skeleton lines={4} /> : null}
        {!loading && items.length === 0 && failure === null ? (
          <Empty icon="policies" title="There is no policy">
            <p>Devices may connect, and neither publish nor subscribe, until a policy allows it.</p>
          </Empty>
        ) : null}
        {items.length === 0 ? null : (
          <TableFrame label="Policies">
            <table className="fits">
              <thead>
                <tr>
                  <th>Name</th>
                  <th className="end wide-only">Statements</th>
                  <th>Holds for</th>
                  <th className="tight wide-only">Changed</th>
                </tr>
              </thead>
              <tbody>
                {items.map(policy => (
                  <tr key={policy.name}>
                    <th scope="row">
                      <Link to={`/policies/${encodeURIComponent(policy.name)}`}>{policy.name}</Link>
                    </th>
                    <td className="end wide-only">{policy.statementsTotal}</td>
                    <td>
                      {policy.attachmentsTotal === 0 ? <span className="faint">nobody yet</span> : null}
                      <div className="tags">
                        {policy.attachments.slice(0, SHOWN).map(attachment => (
                          <span className="tag" key={attachmentLabel(attachment)}>
                            {attachmentLabel(attachment)}
                          </span>
                        ))}
                        {policy.attachmentsTotal > SHOWN ? (
                          <span className="faint small">+{policy.attachmentsTotal - SHOWN}</span>
                        ) : null}
                      </div>
                    </td>
                    <td className="tight faint wide-only">
                      <Timestamp at={policy.updatedAt} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableFrame>
        )}
        <ShowMore more={more} busy={fetching} />
      </Card>
      {naming ? <NameDialog onClose={() => setNaming(false)} /> : null}
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
        <Field
          label="Name"
          hint="1 to 64 of A–Z a–z 0–9 . _ -"
          fault={name === '' || valid ? null : 'This is no name of a policy.'}
        >
          {link => (
            <input
              {...link}
              autoComplete="off"
              spellCheck={false}
              value={name}
              onChange={event => setName(event.target.value)}
            />
          )}
        </Field>
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
