// The signed-in operator and the role's permissions. The token is sent once at sign-in and stored nowhere.
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from 'react'
import { ApiProblem } from '../../client/failures.ts'
import type { Role, WhoAmI } from '../../client/operators.ts'
import { connection } from './connection.ts'
import { onIdle } from './idle-timer.ts'
import {
  ask,
  change,
  keepCsrfToken,
  onSessionChanged,
  onSessionEnded,
  passes,
  Unreachable,
} from './request.ts'

type Session = { operator: WhoAmI; csrfToken: string; expiresAt: string }
/** `ended`: the session has ended; the page stays behind the sign-in form. */
type SignedIn = {
  state: 'asking' | 'out' | 'in' | 'ended'
  operator: WhoAmI | null
  signIn: (token: string | null) => Promise<void>
  signOut: () => Promise<void>
}

const ranks: Record<Role, number> = { viewer: 0, enroller: 1, operator: 2, admin: 3 }
const Context = createContext<SignedIn | null>(null)
const RETRY_MS = 2_000

export function SessionProvider({ children }: { children: ReactNode }) {
  const [session, setSession] = useState<Session | null>(null)
  const [state, setState] = useState<SignedIn['state']>('asking')

  const known = useRef<string | null>(null)
  const begin = useCallback((begun: Session) => {
    known.current = begun.operator.id
    keepCsrfToken(begun.csrfToken)
    setSession(begun)
    setState('in')
  }, [])

  useEffect(() => {
    onSessionEnded(async () => {
      // What was refused may have been asked before somebody signed in anew, here or in another tab.
      const newer = await ask<Session>('/v1/session').catch(() => null)
      if (newer) return begin(newer)
      keepCsrfToken(null)
      setState(former => (former === 'in' ? 'ended' : former))
    })
    let timer: ReturnType<typeof setTimeout>
    onSessionChanged(async () => {
      const current = await ask<Session>('/v1/session')
      const same = current.operator.id === known.current
      begin(current)
      return same
    })
    const look = () => {
      ask<Session>('/v1/session').then(begin, failure => {
        if (!passes(failure)) return setState('out')
        if (failure instanceof Unreachable) connection.say({ reached: false, retryAt: Date.now() + RETRY_MS })
        timer = setTimeout(look, RETRY_MS)
      })
    }
    look()
    return () => clearTimeout(timer)
  }, [begin])

  const signIn = useCallback(
    async (token: string | null) =>
      begin(await change<Session>('POST', '/v1/session', token === null ? undefined : { token })),
    [begin],
  )
  const signOut = useCallback(async () => {
    await change('DELETE', '/v1/session').catch((error: unknown) => {
      // A session that has ended already is what the operator wants.
      if (!(error instanceof ApiProblem)) throw error
    })
    keepCsrfToken(null)
    setSession(null)
    setState('out')
  }, [])

  // What a page asks by itself keeps a session alive: that nobody sits before it, only the page can tell.
  useEffect(() => {
    if (state !== 'in') return
    return onIdle(() => {
      change('DELETE', '/v1/session').catch(() => {})
      keepCsrfToken(null)
      setState('ended')
    })
  }, [state])

  const value = useMemo(
    () => ({ state, operator: session?.operator ?? null, signIn, signOut }),
    [state, session, signIn, signOut],
  )
  return <Context value={value}>{children}</Context>
}

export function useSession(): SignedIn {
  const value = useContext(Context)
  if (value === null) throw new Error('there is no session around this')
  return value
}

/** Whether the operator's role reaches as far as another. */
export function useMay(least: Role): boolean {
  const { operator } = useSession()
  return operator !== null && ranks[operator.role] >= ranks[least]
}

/** The group that the operator is bound to, or null. Pages that are not about devices are closed to a bound operator. */
export function useGroup(): string | null {
  return useSession().operator?.group ?? null
}
