// The fleet as a list: filters in the address, pages as they are asked for, and what can be done with many at once.
import { useState } from 'react'
import { query } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'
import { useMay } from '../../api/session.tsx'
import { usePages } from '../../api/use-pages.ts'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { PageHeader } from '../../components/page-header.tsx'
import { Skeleton } from '../../components/placeholders.tsx'
import { count, many } from '../../labels/formats.ts'
import { Link } from '../../routing/link.tsx'
import { useRoute } from '../../routing/location.ts'
import { BulkBar } from './bulk-bar.tsx'
import { ColumnChooser } from './column-chooser.tsx'
import { DeviceFilters, filterNames, toApi } from './device-filters.tsx'
import { DeviceTable } from './device-table.tsx'
import { NoDevices } from './no-devices.tsx'
import { ViewChooser } from './view-chooser.tsx'

const PAGE_SIZE = 100
const FRESH_MS = 10_000

export function DevicesPage() {
  const { query: asked } = useRoute()
  const filter = Object.fromEntries(filterNames.map(name => [name, asked.get(name)]))
  const filtered = Object.values(filter).some(value => value !== null)
  const path = `/v1/devices${query({ ...toApi(filter), sort: asked.get('sort'), limit: PAGE_SIZE, total: 'true' })}`
  const { items, total, failure, loading, more, fetching, refetch } = usePages<ListedDevice>(path, {
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
      <PageHeader
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
      <div className="row top-aligned">
        <ColumnChooser />
        <ViewChooser />
      </div>
      <FailureNotice failure={failure} refetch={refetch} />
      <Card
        title={filtered ? 'Devices that match' : 'All devices'}
        flush
        aside={
          loading ? null : (
            <span aria-live="polite">
              {items.length === 0 || total === null
                ? many(items.length, 'device')
                : `1–${count(items.length)} of ${total.exact ? '' : 'more than '}${count(total.count)}`}
            </span>
          )
        }
      >
        {loading ? <Skeleton lines={8} /> : null}
        {!loading && items.length === 0 && failure === null && more === null ? (
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
          chosen={items.filter(({ id }) => ids.has(id))}
          filter={toApi(filter)}
          wholeList={more === null ? items.length : null}
          onDone={() => {
            setChosen({ under: path, ids: new Set() })
            refetch()
          }}
        />
      ) : null}
    </>
  )
}
