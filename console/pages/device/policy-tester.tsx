// "May it publish to …?": one question, answered as the broker would, with the statement that decides.
import { type FormEvent, useState } from 'react'
import type { PolicyAction, PolicySimulation } from '../../../client/policy-types.ts'
import { change } from '../../api/request.ts'
import { Badge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { verdictLabels } from '../../labels/reasons.ts'
import { useRoute } from '../../routing/location.ts'

const actions: readonly PolicyAction[] = ['publish', 'subscribe', 'receive', 'will']

export function PolicyTester({ deviceId, policy }: { deviceId: string; policy: string }) {
  // A question that the address asks, as that of a denial, is filled in.
  const { query } = useRoute()
  const asked = actions.find(known => known === query.get('action'))
  const askedQos = ([0, 1, 2] as const).find(known => String(known) === query.get('qos'))
  const [action, setAction] = useState<PolicyAction>(asked ?? 'publish')
  const [topic, setTopic] = useState(query.get('topic') ?? `devices/${deviceId}/telemetry`)
  const [qos, setQos] = useState<0 | 1 | 2>(askedQos ?? 1)
  const [retain, setRetain] = useState(query.get('retain') === 'true')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const [answer, setAnswer] = useState<PolicySimulation['results'][number] | null>(null)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setFailure(null)
    try {
      const asked = { deviceId, checks: [{ action, topic, qos, retain }] }
      const said = await change<PolicySimulation>(
        'POST',
        `/v1/policies/${encodeURIComponent(policy)}/simulate`,
        asked,
      )
      setAnswer(said.results[0] ?? null)
    } catch (error) {
      setAnswer(null)
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Card title="May it …?" aside="asked of the policies as they stand">
      <form className="filters" onSubmit={submit}>
        <Field label="Action">
          {link => (
            <select
              {...link}
              value={action}
              onChange={event => setAction(event.target.value as PolicyAction)}
            >
              {actions.map(known => (
                <option key={known}>{known}</option>
              ))}
            </select>
          )}
        </Field>
        <TextField
          label={action === 'subscribe' ? 'Topic filter' : 'Topic'}
          wide
          value={topic}
          onValue={setTopic}
        />
        <Field label="QoS">
          {link => (
            <select {...link} value={qos} onChange={event => setQos(Number(event.target.value) as 0 | 1 | 2)}>
              <option>0</option>
              <option>1</option>
              <option>2</option>
            </select>
          )}
        </Field>
        <label className="check">
          <input type="checkbox" checked={retain} onChange={event => setRetain(event.target.checked)} />
          retained
        </label>
        <Button type="submit" look="primary" busy={busy} disabled={topic === ''}>
          Ask
        </Button>
      </form>
      <FailureNotice failure={failure} />
      <div role="status">
        {answer === null ? null : (
          <div className="stack tight">
            <div className="row">
              <Badge tone={answer.now.allowed ? 'good' : 'bad'} dot>
                {answer.now.allowed ? 'yes' : 'no'}
              </Badge>
              <span className="break">
                {answer.action} <code>{answer.topic}</code>, QoS {answer.qos}
                {answer.retain ? ', retained' : ''}
              </span>
            </div>
            <p className="soft small">
              {verdictLabels[answer.now.verdict] ?? answer.now.verdict}
              {answer.now.decidedBy === null ? null : (
                <>
                  {' '}
                  Decided by policy {answer.now.decidedBy.policy}, statement{' '}
                  {answer.now.decidedBy.statement + 1}: <code>{answer.now.decidedBy.topic}</code>.
                </>
              )}
            </p>
          </div>
        )}
      </div>
    </Card>
  )
}
