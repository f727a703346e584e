// An address that is none.

import { PageHeader } from '../components/page-header.tsx'
import { Empty } from '../components/placeholders.tsx'
import { Link } from '../routing/link.tsx'
import { useRoute } from '../routing/location.ts'

export function NotFoundPage() {
  const { path } = useRoute()
  return (
    <>
      <PageHeader title="There is no such page" />
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
