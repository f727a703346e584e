// A banner on every page while the service does not answer, with the time of the next attempt.
import { useEffect, useState } from 'react'
import { connection, useConnection } from '../api/connection.ts'
import { Button } from '../components/button.tsx'
import { Icon } from '../components/icon.tsx'

export function OfflineBanner() {
  const { reached, retryAt } = useConnection()
  const [now, setNow] = useState(Date.now())
  useEffect(() => {
    if (reached) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [reached])
  if (reached) return null
  const seconds = Math.max(0, Math.ceil(((retryAt ?? now) - now) / 1000))
  return (
    <div className="offline-banner" role="alert">
      <Icon name="warn" />
      <span>The service does not answer.</span>
      {/* Not read aloud each second. */}
      <span className="small" aria-hidden="true">
        {seconds === 0 ? 'Asking again…' : `Asking again in ${seconds} s.`} What is shown may be old.
      </span>
      <Button small onClick={() => connection.retryNow()}>
        Ask now
      </Button>
    </div>
  )
}
