// What is shown: the sign-in to a stranger, the pages to an operator, and both to an operator whose session ended.
import { useEffect, useRef } from 'react'
import { SessionProvider, useSession } from './api/session.tsx'
import { Skeleton } from './components/placeholders.tsx'
import { SignInPage } from './pages/sign-in-page.tsx'
import { OfflineBanner } from './shell/offline-banner.tsx'
import { Shell } from './shell/shell.tsx'

export function App() {
  return (
    <SessionProvider>
      <Gate />
    </SessionProvider>
  )
}

function Gate() {
  const { state, operator } = useSession()
  if (state === 'asking') {
    return (
      <>
        <OfflineBanner />
        <main className="page">
          <Skeleton />
        </main>
      </>
    )
  }
  if (state === 'out' || operator === null) return <SignInPage />
  return (
    <>
      {/* Another operator begins anew; the same one goes on where they were, with what they had typed. */}
      <Shell key={operator.id} />
      {state === 'ended' ? <SignInAgain /> : null}
    </>
  )
}

/** In front of everything, an open dialog of the page included. */
function SignInAgain() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    if (dialog.current?.open === false) dialog.current.showModal()
  }, [])
  return (
    <dialog
      ref={dialog}
      className="whole"
      aria-label="Sign in"
      onCancel={event => event.preventDefault()}
      // Escape twice closes what was not to be cancelled.
      onClose={() => dialog.current?.showModal()}
    >
      <SignInPage ended />
    </dialog>
  )
}
