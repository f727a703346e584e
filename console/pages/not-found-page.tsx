// An address that is none.
import { Empty } from '../parts/empty.tsx'
import { PageHead } from '../parts/page-head.tsx'
import { Link } from '../routing/link.tsx'
import { usePlace } from '../routing/location.ts'

export function NotFoundPage() {
  const { path } = usePlace()
  return (
    <>
      <PageHead title="There is no such page" />
      <section className="card">
        <Empty icon="search" title="Nothing is at this address">
          <p>
            <code>{path.length > 80 ? `${path.slice(0, 80)}…` : path}</code> is no page of the console. Look
            for a device with the search above, or go to the <Link to="/">overview</Link>.
          </p>
        </Empty>
      </section>
    </>
  )
}
