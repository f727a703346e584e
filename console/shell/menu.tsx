// The menu: links to the pages that the operator may read, and the signed-in operator.
import type { Page } from '../../client/types.ts'
import { useGroup, useMay, useSession } from '../api/session.tsx'
import { useQuery } from '../api/use-query.ts'
import { Badge } from '../components/badge.tsx'
import { Button } from '../components/button.tsx'
import { Icon } from '../components/icon.tsx'
import iconUrl from '../icon.svg'
import { Link } from '../routing/link.tsx'
import { BASE, useRoute } from '../routing/location.ts'
import { type MenuRoute, routeOf, routes } from '../routing/routes.ts'
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
      <nav className="menu-pages" aria-label="Pages">
        {routes.map(route => (
          <MenuItem key={route.path} route={route} />
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

function MenuItem({ route }: { route: MenuRoute }) {
  const here = routeOf(useRoute().path)
  const may = useMay(route.least)
  const group = useGroup()
  if (!may || (route.everyone && group !== null)) return null
  return (
    <Link to={route.path} aria-current={here === route ? 'page' : undefined}>
      <Icon name={route.icon} />
      {route.title}
      {route.path === '/approvals' ? <WaitingCount /> : null}
    </Link>
  )
}

function WaitingCount() {
  const { data } = useQuery<Page<object>>('/v1/certificates?status=pending&limit=100', {
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
