// What is shown to whom: the sign-in to a stranger, the pages to an operator, and both to one whose session ended.
import { SessionProvider, useSession } from './api/session.tsx'
import { SignInPage } from './pages/sign-in-page.tsx'
import { Skeleton } from './parts/empty.tsx'
import { Outage } from './shell/outage.tsx'
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
        <Outage />
        <main className="page">
          <Skeleton />
        </main>
      </>
    )
  }
  if (state === 'out' || operator === null) return <SignInPage />
  return (
    <>
      {state === 'ended' ? <SignInPage ended /> : null}
      {/* Another operator begins anew; the same one goes on where they were, with what they had typed. */}
      <div key={operator.id} hidden={state === 'ended'}>
        <Shell />
      </div>
    </>
  )
}
