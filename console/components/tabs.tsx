// The views of one page, each with an address of its own.
import { Link } from '../routing/link.tsx'

export function Tabs({
  label,
  tabs,
}: {
  label: string
  tabs: readonly { to: string; title: string; current: boolean }[]
}) {
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(({ to, title, current }) => (
        <Link key={to} to={to} aria-current={current ? 'page' : undefined}>
          {title}
        </Link>
      ))}
    </nav>
  )
}
