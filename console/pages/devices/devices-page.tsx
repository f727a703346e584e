// The fleet as a list: filters in the address, pages as they are asked for, and what can be done with many at once.
import { useState } from 'react'
import { query } from '../../api/call.ts'
import { useMay } from '../../api/session.tsx'
import type { ListedDevice } from '../../api/shapes.ts'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../parts/button.tsx'
import { Card } from '../../parts/card.tsx'
import { Skeleton } from '../../parts/empty.tsx'
import { FailureNotice } from '../../parts/notice.tsx'
import { PageHead } from '../../parts/page-head.tsx'
import { Link } from '../../routing/link.tsx'
import { usePlace } from '../../routing/location.ts'
import { many } from '../../words/numbers.ts'
import { BulkBar } from './bulk-bar.tsx'
import { DeviceFilters, filterNames } from './device-filters.tsx'
import { DeviceTable } from './device-table.tsx'
import { NoDevices } from './no-devices.tsx'

const PAGE_SIZE = 100
const FRESH_MS = 10_000

export function DevicesPage() {
  const { query: asked } = usePlace()
  const filter = Object.fromEntries(filterNames.map(name => [name, asked.get(name)]))
  const filtered = Object.values(filter).some(value => value !== null)
  const path = `/v1/devices${query({ ...filter, limit: PAGE_SIZE })}`
  const { items, failure, waiting, more, fetching, again } = usePages<ListedDevice>(path, {
    everyMs: FRESH_MS,
  })
  const [chosen, setChosen] = useState<{ under: string; ids: ReadonlySet<string> }>({
    under: path,
    ids: new Set(),
  })
  const ids = chosen.under === path ? chosen.ids : new Set<string>()
  const mayEnroll = useMay('enroller')
  const mayChange = useMay('operator')

  return (
    <>
      <PageHead
        title="Devices"
        actions={
          mayEnroll ? (
            <Link className="button primary" to="/enroll">
              Enroll a device
            </Link>
          ) : null
        }
      />
      <DeviceFilters />
      <FailureNotice failure={failure} again={again} />
      <Card
        title={filtered ? 'Devices that match' : 'All devices'}
        flush
        aside={
          waiting ? null : (
            <span aria-live="polite">
              {more === null ? many(items.length, 'device') : `the first ${many(items.length, 'device')}`}
            </span>
          )
        }
      >
        {waiting ? <Skeleton lines={8} /> : null}
        {!waiting && items.length === 0 && failure === null && more === null ? (
          <NoDevices filtered={filtered} />
        ) : null}
        {items.length > 0 ? (
          <DeviceTable
            devices={items}
            chosen={mayChange ? ids : null}
            onChoose={next => setChosen({ under: path, ids: next })}
          />
        ) : null}
        {more === null ? null : (
          <div className="table-foot">
            <span className="small faint">There are more. Narrow the filters to find one sooner.</span>
            <Button onClick={more} busy={fetching}>
              {fetching ? 'Loading…' : `Show ${PAGE_SIZE} more`}
            </Button>
          </div>
        )}
      </Card>
      {mayChange && items.length > 0 ? (
        <BulkBar
          chosen={ids}
          filter={filter}
          wholeList={more === null ? items.length : null}
          onDone={() => {
            setChosen({ under: path, ids: new Set() })
            again()
          }}
        />
      ) : null}
    </>
  )
}
