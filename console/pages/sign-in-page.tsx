// Signing in: by an API token, sent once and forgotten, or by the browser's certificate.
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { useSession } from '../api/session.tsx'
import { Button } from '../components/button.tsx'
import { Field } from '../components/field.tsx'
import { FailureNotice, Notice } from '../components/notice.tsx'
import iconUrl from '../icon.svg'

export function SignInPage({ ended = false }: { ended?: boolean }) {
  const { signIn } = useSession()
  const [token, setToken] = useState('')
  const [busy, setBusy] = useState<'token' | 'certificate' | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    document.title = 'Sign in · Rollcall'
    input.current?.focus()
  }, [])

  const begin = async (by: 'token' | 'certificate') => {
    setBusy(by)
    setFailure(null)
    try {
      await signIn(by === 'token' ? token.trim() : null)
    } catch (error) {
      setFailure(error)
      setBusy(null)
      setToken('')
      input.current?.focus()
    }
  }
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (token.trim() !== '') void begin('token')
  }
  return (
    <main className="sign-in">
      <div className="row">
        <img src={iconUrl} alt="" width="36" height="36" />
        <h1>Sign in to Rollcall</h1>
      </div>
      {ended ? (
        <Notice tone="warn" title="Your session has ended.">
          <p className="small">Sign in to go on where you were; what you had typed is still there.</p>
        </Notice>
      ) : null}
      <FailureNotice failure={failure} />
      <form className="card" onSubmit={submit}>
        <Field
          label="API token"
          hint={
            <>
              The first one is in <code>admin.token</code> of the data directory. It is sent once, for a
              cookie that no script can read, and kept nowhere.
            </>
          }
        >
          {link => (
            <input
              {...link}
              ref={input}
              type="password"
              name="token"
              autoComplete="off"
              spellCheck={false}
              value={token}
              onChange={event => setToken(event.target.value)}
            />
          )}
        </Field>
        <Button
          type="submit"
          look="primary"
          busy={busy === 'token'}
          disabled={token.trim() === '' || busy !== null}
        >
          {busy === 'token' ? 'Signing in…' : 'Sign in'}
        </Button>
      </form>
      <div className="stack tight">
        <Button
          icon="key"
          busy={busy === 'certificate'}
          disabled={busy !== null}
          onClick={() => void begin('certificate')}
        >
          Use an operator certificate
        </Button>
        <p className="small faint">
          The browser shows the certificate you chose when this page opened; close the browser to choose
          another.
        </p>
      </div>
    </main>
  )
}
