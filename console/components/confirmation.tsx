// Asks before something is cut: says what, wants its name typed, does it, and shows what became of it.
import { type FormEvent, type ReactNode, useState } from 'react'
import { Button } from './button.tsx'
import { Dialog } from './dialog.tsx'
import { FailureNotice } from './notice.tsx'
import { TypedConfirmation } from './typed-confirmation.tsx'

export function Confirmation<Result>({
  title,
  word,
  verb,
  danger = true,
  act,
  onClose,
  onDone,
  result,
  children,
}: {
  title: string
  /** What has to be typed; null where a click is enough. */
  word: string | null
  /** On the button: "Revoke". */
  verb: string
  danger?: boolean
  act: () => Promise<Result>
  onClose: () => void
  /** Told when it was done, before the result is closed. */
  onDone?: (result: Result) => void
  /** What is shown once it was done; where it is left out, the dialog closes. */
  result?: (result: Result) => ReactNode
  children: ReactNode
}) {
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState<unknown>(null)
  const [done, setDone] = useState<Result | null>(null)
  const ready = word === null || typed.trim() === word

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (!ready || busy) return
    setBusy(true)
    setFailure(null)
    try {
      const outcome = await act()
      onDone?.(outcome)
      if (result === undefined) onClose()
      else setDone(outcome)
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(false)
    }
  }

  if (done !== null && result !== undefined) {
    return (
      <Dialog title={title} onClose={onClose}>
        {result(done)}
        <div className="actions">
          <Button look="primary" onClick={onClose} autoFocus>
            Close
          </Button>
        </div>
      </Dialog>
    )
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        {children}
        {word === null ? null : <TypedConfirmation word={word} typed={typed} onType={setTyped} />}
        <FailureNotice failure={failure} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" look={danger ? 'danger primary' : 'primary'} disabled={!ready} busy={busy}>
            {busy ? 'Working…' : verb}
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
