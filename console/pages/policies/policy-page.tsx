// One policy: its document to read or rewrite, what a draft would change, its attachments.
import { useState } from 'react'
import { ApiProblem } from '../../../client/failures.ts'
import type { Policy, PolicyDocument } from '../../../client/policy-types.ts'
import { useMay } from '../../api/session.tsx'
import { useQuery } from '../../api/use-query.ts'
import { Badge } from '../../components/badge.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { Tabs } from '../../components/tabs.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { useRoute } from '../../routing/location.ts'
import { AttachmentsCard } from './attachments-card.tsx'
import { DiffView } from './diff-view.tsx'
import { documentText, validateDraft } from './draft.ts'
import { PolicyEditor } from './policy-editor.tsx'
import { PolicyHelp } from './policy-help.tsx'
import { SaveDraft } from './save-draft.tsx'
import { SimulateView } from './simulate-view.tsx'
import { TrialView } from './trial-view.tsx'

export function PolicyPage({ name }: { name: string }) {
  const path = `/v1/policies/${encodeURIComponent(name)}`
  const { data, failure, loading, refetch } = useQuery<Policy>(path)
  const { query } = useRoute()
  const [typed, setTyped] = useState<string | null>(null)
  const may = useMay('operator')
  const fresh = failure instanceof ApiProblem && failure.status === 404
  const stored = data === null ? null : documentText(data.document)
  const draft = typed ?? stored ?? documentText(template(name))
  const validation = validateDraft(draft, name)
  const changed = draft !== stored
  const view = query.get('view') ?? 'document'
  const base = `/policies/${encodeURIComponent(name)}`
  const views = [
    { key: 'document', title: 'Document' },
    { key: 'diff', title: 'Changes' },
    { key: 'simulate', title: 'Simulate' },
    { key: 'fleet', title: 'Effect on the fleet' },
    ...(fresh ? [] : [{ key: 'attachments', title: 'Holds for' }]),
  ]
  return (
    <>
      <PageHeader
        title={name}
        badges={
          <>
            {fresh ? <Badge tone="info">new</Badge> : null}
            {changed && !loading && !fresh ? <Badge tone="warn">draft, not saved</Badge> : null}
          </>
        }
        actions={
          may && !loading ? (
            <SaveDraft
              name={name}
              validation={validation}
              version={data?.version ?? null}
              dirty={changed || fresh}
              onDiscard={typed === null ? null : () => setTyped(null)}
              onSaved={() => {
                setTyped(null)
                refetch()
              }}
            />
          ) : null
        }
        lead={
          data === null ? undefined : (
            <>
              Changed <Timestamp at={data.updatedAt} />.
            </>
          )
        }
      />
      <Tabs
        label="Views of the policy"
        tabs={views.map(({ key, title }) => ({
          to: key === 'document' ? base : `${base}?view=${key}`,
          title,
          current: key === view,
        }))}
      />
      {fresh ? null : <FailureNotice failure={failure} refetch={refetch} />}
      {loading ? (
        <Skeleton lines={8} />
      ) : view === 'diff' ? (
        <Card title="What the draft changes">
          <DiffView before={stored ?? ''} after={draft} />
        </Card>
      ) : view === 'simulate' ? (
        <SimulateView name={name} validation={validation} changed={changed} />
      ) : view === 'fleet' ? (
        <TrialView name={name} validation={validation} changed={changed} />
      ) : view === 'attachments' && data !== null ? (
        <AttachmentsCard name={name} onChanged={refetch} />
      ) : (
        <div className="grid wide-narrow">
          <Card title="Document" aside={may ? undefined : 'your role reads it'}>
            <PolicyEditor text={draft} validation={validation} readOnly={!may} onChange={setTyped} />
          </Card>
          <PolicyHelp onInsert={may ? statement => setTyped(withStatement(draft, statement)) : null} />
        </div>
      )}
    </>
  )
}

function template(name: string): PolicyDocument {
  return {
    name,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the policy
    statements: [{ effect: 'allow', actions: ['publish'], topics: ['devices/${device.id}/#'] }],
  }
}

/** Puts a statement at the end; a draft that is no document stays as it is. */
function withStatement(draft: string, statement: PolicyDocument['statements'][number]): string {
  try {
    const document = JSON.parse(draft) as PolicyDocument
    return documentText({ ...document, statements: [...document.statements, statement] })
  } catch {
    return draft
  }
}
