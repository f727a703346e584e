// One policy: its document to read or rewrite, what a draft would change, whom it holds for.
import { useState } from 'react'
import { ApiProblem } from '../../../client/failures.ts'
import type { Policy, PolicyDocument } from '../../../client/policy-types.ts'
import { useMay } from '../../api/session.tsx'
import { useAnswer } from '../../api/use-answer.ts'
import { Badge } from '../../parts/badge.tsx'
import { Card } from '../../parts/card.tsx'
import { Skeleton } from '../../parts/empty.tsx'
import { Moment } from '../../parts/moment.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { PageHead } from '../../parts/page-head.tsx'
import { Tabs } from '../../parts/tabs.tsx'
import { usePlace } from '../../routing/location.ts'
import { AttachmentsCard } from './attachments-card.tsx'
import { DiffView } from './diff-view.tsx'
import { documentText, judgedDraft } from './draft.ts'
import { PolicyEditor } from './policy-editor.tsx'
import { PolicyHelp } from './policy-help.tsx'
import { SaveDraft } from './save-draft.tsx'
import { SimulateView } from './simulate-view.tsx'
import { TrialView } from './trial-view.tsx'

export function PolicyPage({ name }: { name: string }) {
  const path = `/v1/policies/${encodeURIComponent(name)}`
  const { data, failure, waiting, again } = useAnswer<Policy>(path)
  const { query } = usePlace()
  const [typed, setTyped] = useState<string | null>(null)
  const may = useMay('operator')
  const fresh = failure instanceof ApiProblem && failure.status === 404
  const stored = data === null ? null : documentText(data.document)
  const draft = typed ?? stored ?? documentText(template(name))
  const judged = judgedDraft(draft, name)
  const changed = draft !== stored
  const view = query.get('view') ?? 'document'
  const base = `/policies/${encodeURIComponent(name)}`
  const views = [
    { key: 'document', title: 'Document' },
    { key: 'diff', title: 'Changes' },
    { key: 'simulate', title: 'Simulate' },
    { key: 'fleet', title: 'Who would lose what' },
    ...(fresh ? [] : [{ key: 'attachments', title: 'Holds for' }]),
  ]
  return (
    <>
      <PageHead
        title={name}
        badges={
          <>
            {fresh ? <Badge tone="info">new</Badge> : null}
            {changed && !waiting && !fresh ? <Badge tone="warn">draft, not saved</Badge> : null}
          </>
        }
        actions={
          may && !waiting ? (
            <SaveDraft
              name={name}
              judged={judged}
              version={data?.version ?? null}
              dirty={changed || fresh}
              onDiscard={typed === null ? null : () => setTyped(null)}
              onSaved={() => {
                setTyped(null)
                again()
              }}
            />
          ) : null
        }
        lead={
          data === null ? undefined : (
            <>
              Changed <Moment at={data.updatedAt} />.
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
      {fresh ? null : <FailureNotice failure={failure} again={again} />}
      {waiting ? (
        <Skeleton lines={8} />
      ) : view === 'diff' ? (
        <Card title="What the draft changes">
          <DiffView before={stored ?? ''} after={draft} />
        </Card>
      ) : view === 'simulate' ? (
        <SimulateView name={name} judged={judged} changed={changed} />
      ) : view === 'fleet' ? (
        <TrialView name={name} judged={judged} changed={changed} />
      ) : view === 'attachments' && data !== null ? (
        <AttachmentsCard name={name} onChanged={again} />
      ) : (
        <div className="grid wide-narrow">
          <Card title="Document" aside={may ? undefined : 'your role reads it'}>
            <PolicyEditor text={draft} judged={judged} readOnly={!may} onChange={setTyped} />
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
