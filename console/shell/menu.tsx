// The way to every page that the operator may look at, and who that operator is.
import type { Page } from '../../client/types.ts'
import { useGroup, useMay, useSession } from '../api/session.tsx'
import { useAnswer } from '../api/use-answer.ts'
import iconUrl from '../icon.svg'
import { Badge } from '../parts/badge.tsx'
import { Button } from '../parts/button.tsx'
import { Icon } from '../parts/icon.tsx'
import { Link } from '../routing/link.tsx'
import { BASE, usePlace } from '../routing/location.ts'
import { type MenuPlace, placeOf, places } from '../routing/places.ts'
import { type Theme, useTheme } from './theme.ts'

const WAITING_MS = 30_000

export function Menu({ open }: { open: boolean }) {
  const { operator, signOut } = useSession()
  const [theme, setTheme] = useTheme()
  return (
    <aside className="side" aria-label="Console" data-open={open}>
      <a className="brand" href={`${BASE}/`}>
        <img src={iconUrl} alt="" />
        Rollcall
      </a>
      <nav className="places" aria-label="Pages">
        {places.map(place => (
          <MenuItem key={place.path} place={place} />
        ))}
      </nav>
      <div className="signed-in">
        <div className="who">
          <strong title={operator?.name}>{operator?.name}</strong>
          <span className="row">
            <Badge tone="info">{operator?.role}</Badge>
            {operator?.group === null ? null : <Badge>{operator?.group}</Badge>}
          </span>
        </div>
        <div className="row apart">
          <select
            className="theme"
            aria-label="Colours"
            value={theme}
            onChange={event => setTheme(event.target.value as Theme)}
          >
            <option value="system">System</option>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
          </select>
          <Button small look="quiet" icon="out" onClick={() => void signOut()}>
            Sign out
          </Button>
        </div>
      </div>
    </aside>
  )
}

function MenuItem({ place }: { place: MenuPlace }) {
  const here = placeOf(usePlace().path)
  const may = useMay(place.least)
  const group = useGroup()
  if (!may || (place.everyone && group !== null)) return null
  return (
    <Link to={place.path} aria-current={here === place ? 'page' : undefined}>
      <Icon name={place.icon} />
      {place.title}
      {place.path === '/approvals' ? <WaitingCount /> : null}
    </Link>
  )
}

function WaitingCount() {
  const { data } = useAnswer<Page<object>>('/v1/certificates?status=pending&limit=100', {
    everyMs: WAITING_MS,
  })
  const waiting = data?.items.length ?? 0
  if (waiting === 0) return null
  return (
    <span className="count">
      {waiting}
      {data?.nextCursor === null ? '' : '+'}
      <span className="hidden-from-sight"> waiting</span>
    </span>
  )
}
