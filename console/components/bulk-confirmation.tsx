// A change of many: what it is, on which, the confirmation, the progress, and what was refused.
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react'
import { count, many } from '../labels/formats.ts'
import { type BulkOutcome, runBulk } from './bulk-run.ts'
import { Button } from './button.tsx'
import { Dialog } from './dialog.tsx'
import { TypedConfirmation } from './typed-confirmation.tsx'

const SHOWN = 8
const REFUSALS_SHOWN = 50

export function BulkConfirmation<Item>({
  title,
  verb,
  danger,
  items,
  thing,
  nameOf,
  act,
  onClose,
  children,
}: {
  title: string
  /** One word, on the button and typed: "suspend". */
  verb: string
  danger: boolean
  /** Those that change; null while they are not known. */
  items: readonly Item[] | null
  /** What one of them is: "device". */
  thing: string
  nameOf: (item: Item) => string
  act: (item: Item) => Promise<number>
  onClose: (changed: boolean) => void
  children: ReactNode
}) {
  const [typed, setTyped] = useState('')
  const [run, setRun] = useState<{ of: number; outcomes: readonly BulkOutcome[]; running: boolean } | null>(
    null,
  )
  const stop = useRef(new AbortController())
  useEffect(() => () => stop.current.abort(), [])

  const word = `${verb} ${items?.length ?? 0}`
  const ready = items !== null && items.length > 0 && (!danger || typed.trim() === word)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (!ready || items === null) return
    const outcomes: BulkOutcome[] = []
    const of = items.length
    setRun({ of, outcomes, running: true })
    stop.current = new AbortController()
    await runBulk(
      items,
      { nameOf, act },
      {
        signal: stop.current.signal,
        onOutcome: outcome => {
          outcomes.push(outcome)
          setRun({ of, outcomes: [...outcomes], running: true })
        },
      },
    )
    setRun({ of, outcomes, running: false })
  }
  const close = () => {
    if (run?.running !== true) onClose(run !== null)
  }
  if (run !== null)
    return (
      <Dialog title={title} onClose={close}>
        <Progress outcomes={run.outcomes} of={run.of} />
        <div className="actions">
          {run.running ? (
            <Button onClick={() => stop.current.abort()}>Stop</Button>
          ) : (
            <Button look="primary" onClick={close}>
              Close
            </Button>
          )}
        </div>
      </Dialog>
    )
  return (
    <Dialog title={title} onClose={close}>
      <form className="stack" onSubmit={submit}>
        {children}
        {items === null ? null : (
          <Chosen names={items.slice(0, SHOWN).map(nameOf)} of={items.length} thing={thing} />
        )}
        {danger && items !== null && items.length > 0 ? (
          <TypedConfirmation word={word} typed={typed} onType={setTyped} />
        ) : null}
        <div className="actions">
          <Button onClick={close}>Cancel</Button>
          <Button type="submit" look={danger ? 'danger primary' : 'primary'} disabled={!ready}>
            {verb.charAt(0).toUpperCase() + verb.slice(1)} {many(items?.length ?? 0, thing)}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}

function Chosen({ names, of, thing }: { names: readonly string[]; of: number; thing: string }) {
  if (of === 0) return <strong>Nothing would change.</strong>
  return (
    <div className="stack tight">
      <strong>{many(of, thing)}</strong>
      <div className="tags">
        {names.map(name => (
          <span className="tag mono break" key={name}>
            {name}
          </span>
        ))}
        {of > names.length ? <span className="faint small">and {count(of - names.length)} more</span> : null}
      </div>
    </div>
  )
}

function Progress({ outcomes, of }: { outcomes: readonly BulkOutcome[]; of: number }) {
  const failed = outcomes.filter(({ failure }) => failure !== null)
  const cut = outcomes.reduce((sum, { sessionsCut }) => sum + sessionsCut, 0)
  return (
    <div className="stack">
      <progress className="progress" max={of} value={outcomes.length} aria-label="Done" />
      <p role="status">
        {count(outcomes.length)} of {count(of)} done, {many(cut, 'session')} cut
        {failed.length === 0 ? '' : `, ${count(failed.length)} refused`}
      </p>
      {failed.length === 0 ? null : (
        <ul className="list small">
          {failed.slice(0, REFUSALS_SHOWN).map(({ name, failure }) => (
            <li key={name}>
              <code>{name}</code>: {failure}
            </li>
          ))}
        </ul>
      )}
    </div>
  )
}
