// Trying out what the device may, through the broker: publishing a message, or listening for a while.
import { type FormEvent, useState } from 'react'
import type { TriedPublish, TriedSubscribe } from '../../../client/tryouts.ts'
import { change } from '../../api/request.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { Field } from '../../components/field.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { TextField } from '../../components/text-field.tsx'
import { bytes, many } from '../../labels/formats.ts'

const ANSWER_MS = 15_000
const ends: Record<TriedSubscribe['ended'], string> = {
  time: 'the time is over',
  messages: 'no more than 100 are shown',
  right_ended: 'the right of the device ended',
  broker_ended: 'the broker ended it',
}

export function TryCard({ id }: { id: string }) {
  const [busy, setBusy] = useState<'publish' | 'listen' | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const [topic, setTopic] = useState(`devices/${id}/telemetry`)
  const [payload, setPayload] = useState('')
  const [filter, setFilter] = useState(`devices/${id}/#`)
  const [seconds, setSeconds] = useState(10)
  const [sent, setSent] = useState<TriedPublish | null>(null)
  const [heard, setHeard] = useState<TriedSubscribe | null>(null)
  const path = `/v1/devices/${encodeURIComponent(id)}/try`
  const attempt = async (what: 'publish' | 'listen', work: () => Promise<void>) => {
    setBusy(what)
    setFailure(null)
    await work().catch(setFailure)
    setBusy(null)
  }
  const publish = (event: FormEvent) => {
    event.preventDefault()
    setSent(null)
    void attempt('publish', async () => {
      setSent(await change<TriedPublish>('POST', `${path}/publish`, { topic, payload }))
    })
  }
  const listen = (event: FormEvent) => {
    event.preventDefault()
    setHeard(null)
    void attempt('listen', async () => {
      const timeoutMs = seconds * 1_000 + ANSWER_MS
      setHeard(await change<TriedSubscribe>('POST', `${path}/subscribe`, { filter, seconds }, { timeoutMs }))
    })
  }
  return (
    <Card title="Try it" aside="through the broker, by the rights of the device">
      <p className="soft small">
        A message that you publish reaches its subscribers as any other: it is on record, names you in a user
        property, and is never retained. Listening is no session of the device, and takes nothing from it.
      </p>
      <form className="filters" onSubmit={publish}>
        <TextField label="Publish to" wide value={topic} onValue={setTopic} />
        <TextField label="Payload" wide value={payload} onValue={setPayload} />
        <Button type="submit" busy={busy === 'publish'} disabled={busy !== null || topic === ''}>
          Publish
        </Button>
      </form>
      <form className="filters" onSubmit={listen}>
        <TextField label="Listen to" wide value={filter} onValue={setFilter} />
        <Field label="For">
          {link => (
            <select {...link} value={seconds} onChange={event => setSeconds(Number(event.target.value))}>
              <option value={10}>10 s</option>
              <option value={30}>30 s</option>
              <option value={60}>60 s</option>
            </select>
          )}
        </Field>
        <Button type="submit" busy={busy === 'listen'} disabled={busy !== null || filter === ''}>
          Listen
        </Button>
      </form>
      <FailureNotice failure={failure} />
      <div role="status">
        {busy === 'listen' ? <p className="soft small">Listening for {seconds} s…</p> : null}
        {sent === null ? null : (
          <p className="soft small break">
            Published to <code>{sent.topic}</code>: {many(sent.receivers, 'session')} took it at this broker.
          </p>
        )}
        {heard === null ? null : (
          <p className="soft small">
            {many(heard.messages.length, 'message')}: {ends[heard.ended]}.
          </p>
        )}
      </div>
      {heard === null || heard.messages.length === 0 ? null : (
        <DataTable
          label="Messages"
          layout="stacks"
          rows={heard.messages.map((message, place) => ({ ...message, place }))}
          rowKey={({ place }) => place}
          columns={[
            {
              title: 'Topic',
              className: 'half',
              rowHeader: true,
              cellClass: 'break mono',
              cell: message => message.topic,
            },
            {
              title: 'Payload',
              cellClass: 'break mono',
              cell: ({ payload: text, payloadBase64 }) => text ?? `base64 ${payloadBase64}`,
            },
            {
              title: 'Size',
              narrowTitle: 'Size',
              className: 'end',
              cellClass: 'whole-line',
              cell: message => bytes(message.bytes),
            },
            { title: 'Retained', narrowTitle: 'Retained', cell: ({ retained }) => (retained ? 'yes' : 'no') },
          ]}
        />
      )}
    </Card>
  )
}
