// The columns that a list of devices can show, each with the order of the service that sorts by it.
import type { ReactNode } from 'react'
import type { ListedDevice } from '../../api/response-types.ts'
import { Badge, StateBadge } from '../../components/badge.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { endingLabel } from '../../labels/endings.ts'
import { bytes, count } from '../../labels/formats.ts'

export type DeviceColumn = {
  key: string
  title: string
  /** As `sort` of the API; absent where it sorts by no such column. */
  sort?: string
  /** Whether the first click shows the highest first. */
  descendingFirst?: true
  className: string
  cell: (device: ListedDevice) => ReactNode
}

const TAGS_SHOWN = 4
const none = <span className="faint">–</span>

export const deviceColumns: readonly DeviceColumn[] = [
  {
    ...{ key: 'state', title: 'State', sort: 'state', className: 'tight' },
    cell: ({ state }) => <StateBadge state={state} />,
  },
  {
    ...{ key: 'last-seen', title: 'Last seen', sort: 'lastSeen', descendingFirst: true, className: 'tight' },
    cell: ({ connected, lastSeen }) =>
      connected ? (
        <Badge tone="good" dot>
          connected
        </Badge>
      ) : (
        <span className="faint">
          <Timestamp at={lastSeen?.disconnectedAt} />
        </span>
      ),
  },
  {
    ...{ key: 'connected-at', title: 'Connected since', sort: 'connectedAt', descendingFirst: true },
    ...{ className: 'tight wide-only' },
    cell: ({ lastSeen }) => (lastSeen === null ? none : <Timestamp at={lastSeen.connectedAt} />),
  },
  {
    ...{ key: 'reason', title: 'How it ended', className: 'wide-only' },
    cell: ({ lastSeen }) => (lastSeen?.reason == null ? none : endingLabel(lastSeen.reason)),
  },
  {
    ...{ key: 'address', title: 'From', className: 'tight wide-only' },
    cell: ({ lastSeen }) => lastSeen?.address ?? none,
  },
  {
    ...{ key: 'protocol', title: 'MQTT', className: 'tight wide-only' },
    cell: ({ lastSeen }) => lastSeen?.protocol ?? none,
  },
  {
    ...{ key: 'waiting', title: 'Waiting', sort: 'messagesWaiting', descendingFirst: true },
    ...{ className: 'tight number wide-only' },
    cell: ({ lastSeen }) => (lastSeen === null ? none : count(lastSeen.messagesWaiting)),
  },
  {
    ...{ key: 'bytes-in', title: 'Bytes in' },
    ...{ className: 'tight number wide-only' },
    cell: ({ lastSeen }) => (lastSeen === null ? none : bytes(lastSeen.bytesIn)),
  },
  {
    ...{ key: 'bytes-out', title: 'Bytes out' },
    ...{ className: 'tight number wide-only' },
    cell: ({ lastSeen }) => (lastSeen === null ? none : bytes(lastSeen.bytesOut)),
  },
  {
    ...{ key: 'certificate', title: 'Certificate', sort: 'certificateStatus', className: 'tight wide-only' },
    cell: ({ certificate }) => certificate?.status ?? none,
  },
  {
    ...{ key: 'expires', title: 'Expires', sort: 'certificateExpiry', className: 'tight wide-only' },
    cell: ({ certificate }) => (certificate === null ? none : <Timestamp at={certificate.notAfter} />),
  },
  {
    ...{ key: 'tags', title: 'Groups and attributes', className: 'wide-only' },
    cell: device => <Tags device={device} />,
  },
  {
    ...{ key: 'created', title: 'Registered', sort: 'createdAt', descendingFirst: true },
    ...{ className: 'tight faint wide-only' },
    cell: ({ createdAt }) => <Timestamp at={createdAt} />,
  },
  {
    ...{ key: 'updated', title: 'Changed', sort: 'updatedAt', descendingFirst: true },
    ...{ className: 'tight faint wide-only' },
    cell: ({ updatedAt }) => <Timestamp at={updatedAt} />,
  },
]

export const columnsShown = ['state', 'last-seen', 'expires', 'tags', 'updated']

/** Those that the address names, in the order of the list; the usual ones where it names none. */
export function shownColumns(asked: string | null): readonly DeviceColumn[] {
  const names = asked === null ? columnsShown : asked.split(',')
  return deviceColumns.filter(({ key }) => names.includes(key))
}

function Tags({ device }: { device: ListedDevice }) {
  const tags = [
    ...device.groups.map(group => ({ key: `g ${group}`, text: group })),
    ...Object.entries(device.attributes).map(([name, value]) => ({
      key: `a ${name}`,
      text: `${name}:${value}`,
    })),
  ]
  if (tags.length === 0) return none
  return (
    <div className="tags">
      {tags.slice(0, TAGS_SHOWN).map(({ key, text }) => (
        <span className="tag" key={key}>
          {text.length > 48 ? `${text.slice(0, 47)}…` : text}
        </span>
      ))}
      {tags.length > TAGS_SHOWN ? <span className="faint small">+{tags.length - TAGS_SHOWN}</span> : null}
    </div>
  )
}
