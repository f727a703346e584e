// A change of many devices: the devices, the confirmation, the progress, and the outcome of each.
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { Button } from '../../components/button.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { FailureNotice, Notice } from '../../components/notice.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { TypedConfirmation } from '../../components/typed-confirmation.tsx'
import { count, many } from '../../labels/formats.ts'
import { BULK_MAX, type BulkOutcome, type BulkVerb, matching, runBulk } from './bulk-run.ts'

const words: Record<BulkVerb, { title: string; tells: string; danger: boolean }> = {
  suspend: {
    title: 'Suspend devices',
    tells:
      'Their sessions are cut and nothing of them is admitted until they are activated. What waits for them is kept.',
    danger: true,
  },
  activate: {
    title: 'Activate devices',
    tells: 'They may connect again with the certificates they have.',
    danger: false,
  },
  decommission: {
    title: 'Decommission devices',
    tells:
      'For good: their sessions are cut, their queues and retained messages deleted, and no state leads back.',
    danger: true,
  },
}
const SHOWN = 8

export function BulkDialog({
  verb,
  ids: given,
  filter,
  onClose,
}: {
  verb: BulkVerb
  /** Null for all that match the filter. */
  ids: readonly string[] | null
  filter: Record<string, string | null>
  onClose: (changed: boolean) => void
}) {
  const { title, tells, danger } = words[verb]
  const [selection, setSelection] = useState<{ ids: readonly string[]; complete: boolean } | null>(
    given === null ? null : { ids: given, complete: true },
  )
  const [failure, setFailure] = useState<unknown>(null)
  const [typed, setTyped] = useState('')
  const [outcomes, setOutcomes] = useState<BulkOutcome[] | null>(null)
  const [running, setRunning] = useState(false)
  const stop = useRef(new AbortController())
  const asked = useRef(filter)

  useEffect(() => {
    if (given !== null) return
    const controller = new AbortController()
    matching(asked.current, controller.signal).then(setSelection, error => {
      if (!controller.signal.aborted) setFailure(error)
    })
    return () => controller.abort()
  }, [given])
  useEffect(() => () => stop.current.abort(), [])

  const word = `${verb} ${selection?.ids.length ?? 0}`
  const run = async (event: FormEvent) => {
    event.preventDefault()
    if (selection === null || typed.trim() !== word) return
    const done: BulkOutcome[] = []
    setOutcomes([])
    setRunning(true)
    stop.current = new AbortController()
    await runBulk(verb, selection.ids, {
      signal: stop.current.signal,
      onOutcome: outcome => {
        done.push(outcome)
        setOutcomes([...done])
      },
    })
    setRunning(false)
  }
  const close = () => {
    if (!running) onClose(outcomes !== null)
  }

  return (
    <Dialog title={title} onClose={close}>
      <FailureNotice failure={failure} />
      {outcomes === null ? (
        <form className="stack" onSubmit={run}>
          <p className="soft">{tells}</p>
          {selection === null ? <Skeleton /> : <SelectedDevices ids={selection.ids} />}
          {selection !== null && !selection.complete ? (
            <Notice tone="warn" title={`Only the first ${count(BULK_MAX)} are done here.`}>
              <p className="small">For more, narrow the filter, or import a file with a column state.</p>
            </Notice>
          ) : null}
          <TypedConfirmation word={word} typed={typed} onType={setTyped} />
          <div className="actions">
            <Button onClick={close}>Cancel</Button>
            <Button
              type="submit"
              look={danger ? 'danger primary' : 'primary'}
              disabled={selection === null || selection.ids.length === 0 || typed.trim() !== word}
            >
              {title.split(' ')[0]} {many(selection?.ids.length ?? 0, 'device')}
            </Button>
          </div>
        </form>
      ) : (
        <Progress outcomes={outcomes} total={selection?.ids.length ?? 0}>
          <div className="actions">
            {running ? (
              <Button onClick={() => stop.current.abort()}>Stop</Button>
            ) : (
              <Button look="primary" onClick={close}>
                Close
              </Button>
            )}
          </div>
        </Progress>
      )}
    </Dialog>
  )
}

function SelectedDevices({ ids }: { ids: readonly string[] }) {
  return (
    <div className="stack tight">
      <strong>{many(ids.length, 'device')}</strong>
      <div className="tags">
        {ids.slice(0, SHOWN).map(id => (
          <span className="tag mono" key={id}>
            {id}
          </span>
        ))}
        {ids.length > SHOWN ? (
          <span className="faint small">and {count(ids.length - SHOWN)} more</span>
        ) : null}
      </div>
    </div>
  )
}

function Progress({
  outcomes,
  total,
  children,
}: {
  outcomes: readonly BulkOutcome[]
  total: number
  children: React.ReactNode
}) {
  const failed = outcomes.filter(({ failure }) => failure !== null)
  const cut = outcomes.reduce((sum, { receipt }) => sum + (receipt?.sessionsCut ?? 0), 0)
  return (
    <div className="stack">
      <progress className="progress" max={total} value={outcomes.length} aria-label="Devices done" />
      <p role="status">
        {count(outcomes.length)} of {count(total)} done, {many(cut, 'session')} cut
        {failed.length === 0 ? '' : `, ${count(failed.length)} refused`}
      </p>
      {failed.length === 0 ? null : (
        <ul className="list small">
          {failed.slice(0, 50).map(({ id, failure }) => (
            <li key={id}>
              <code>{id}</code>: {failure}
            </li>
          ))}
        </ul>
      )}
      {children}
    </div>
  )
}
