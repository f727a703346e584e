// What a draft would do to one device's topics, beside what holds now.
import { type FormEvent, useState } from 'react'
import type { PolicyAction, PolicyDecision, PolicySimulation } from '../../../client/policy-types.ts'
import { change } from '../../api/request.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { verdictLabels } from '../../labels/reasons.ts'
import type { DraftValidation } from './draft.ts'
import { LimitsLine } from './limits-line.tsx'

const START = 'publish devices/DEVICE/telemetry\nsubscribe devices/DEVICE/commands/+\nsubscribe #'
const known: readonly PolicyAction[] = ['publish', 'subscribe', 'receive', 'retain', 'will']

export function SimulateView({
  name,
  validation,
  changed,
}: {
  name: string
  validation: DraftValidation
  changed: boolean
}) {
  const [deviceId, setDeviceId] = useState('')
  const [questions, setQuestions] = useState(START)
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const [said, setSaid] = useState<PolicySimulation | null>(null)
  const checks = questionsOf(questions, deviceId.trim())
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (typeof checks === 'string' || validation.document === null) return
    setBusy(true)
    setFailure(null)
    try {
      const asked = { deviceId: deviceId.trim(), checks, document: validation.document }
      setSaid(
        await change<PolicySimulation>('POST', `/v1/policies/${encodeURIComponent(name)}/simulate`, asked),
      )
    } catch (error) {
      setSaid(null)
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <>
      <Card title="Try it on a device" aside={changed ? 'the draft' : 'the stored document'}>
        {validation.document === null ? (
          <Notice tone="warn" title="The draft has faults. Mend them under Document first." />
        ) : null}
        <form className="stack" onSubmit={submit}>
          <TextField label="Device ID" required value={deviceId} onValue={setDeviceId} />
          <Field
            label="Questions"
            hint={
              <>
                One on a line: an action and a topic. <code>DEVICE</code> stands for the device ID. Actions:{' '}
                {known.join(', ')}.
              </>
            }
            fault={typeof checks === 'string' ? checks : null}
          >
            {link => (
              <textarea
                {...link}
                rows={5}
                spellCheck={false}
                value={questions}
                onChange={event => setQuestions(event.target.value)}
              />
            )}
          </Field>
          <div className="row">
            <Button
              type="submit"
              look="primary"
              busy={busy}
              disabled={deviceId.trim() === '' || typeof checks === 'string' || validation.document === null}
            >
              Simulate
            </Button>
          </div>
        </form>
        <FailureNotice failure={failure} />
      </Card>
      {said === null ? null : (
        <Card
          title={`What ${said.deviceId} may`}
          flush
          aside={said.holds ? 'the policy holds for it' : 'judged as if the policy held for it'}
        >
          <DataTable
            label="Answers"
            rows={said.results}
            rowKey={({ action, topic }) => `${action} ${topic}`}
            columns={[
              {
                title: 'Question',
                rowHeader: true,
                cellClass: 'break',
                cell: ({ action, topic }) => (
                  <>
                    {action} <code>{topic}</code>
                  </>
                ),
              },
              { title: 'Now', cell: ({ now }) => <Decision decision={now} /> },
              { title: 'With this document', cell: ({ draft }) => <Decision decision={draft} /> },
            ]}
          />
          <LimitsLine of={said.limits} />
        </Card>
      )}
    </>
  )
}

function Decision({ decision: { allowed, verdict, decidedBy } }: { decision: PolicyDecision }) {
  return (
    <div className="stack tight">
      <span>
        <Badge tone={allowed ? 'good' : 'bad'}>{allowed ? 'yes' : 'no'}</Badge>
      </span>
      <span className="small soft">
        {verdictLabels[verdict] ?? verdict}
        {decidedBy === null ? '' : ` ${decidedBy.policy}, statement ${decidedBy.statement + 1}.`}
      </span>
    </div>
  )
}

/** What is wrong, in words, where a line is no question. */
function questionsOf(text: string, deviceId: string): { action: PolicyAction; topic: string }[] | string {
  const found: { action: PolicyAction; topic: string }[] = []
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const [, action = '', topic = ''] = /^\s*(\S+)\s+(.*\S)\s*$/.exec(line) ?? []
    if (!known.includes(action as PolicyAction)) return `Line ${at + 1} does not begin with an action.`
    found.push({
      action: action as PolicyAction,
      topic: deviceId === '' ? topic : topic.replaceAll('DEVICE', deviceId),
    })
  }
  if (found.length === 0) return 'There is no question.'
  return found.length > 200 ? 'At most 200 questions at once.' : found
}
