// What a list of devices may be asked for, as the API takes it: filters, an order, where to go on, and whether to count.
import Type, { type Static } from 'typebox'
import { attributeOf, type DeviceFilter } from '../../db/roll/device-filter.ts'
import { type DeviceKey, type DeviceSort, deviceSorts } from '../../db/roll/device-list.ts'
import { certificateStatuses } from '../../db/schema.ts'
import { timestampOf } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Device, deviceStates, Name, Nullable, OneOf, paging, strict } from '../http/schemas.ts'

const orders = deviceSorts.flatMap(by => [by, `-${by}` as const])

const time = (description: string) => Type.Optional(Type.String({ maxLength: 40, description }))

/** Shared by the list and the export. */
export const deviceFilters = {
  prefix: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,128}$' })),
  attribute: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9._-]{1,128}:',
      maxLength: 1200,
      description: 'NAME:VALUE of an attribute',
    }),
  ),
  connected: Type.Optional(Type.Boolean({ description: 'As brokers noted it within the last seconds' })),
  search: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1200,
      description:
        'Terms between blanks, all of which must fit: each the start of an ID, or of a fingerprint (8 hex digits at least), a serial number in hex, or NAME:VALUE of an attribute; NAME:"A VALUE" with blanks',
    }),
  ),
  lastSeenBefore: time('Whose last connection ended before'),
  lastSeenAfter: time('Whose last connection ended then or later, or lasts'),
  connectedBefore: time('Whose last connection began before'),
  connectedAfter: time('Whose last connection began then or later'),
  neverConnected: Type.Optional(Type.Boolean()),
  certificateStatus: Type.Optional(OneOf(certificateStatuses)),
  expiresBefore: time('Whose certificate expires before'),
  expiresAfter: time('Whose certificate expires then or later'),
}

export const DeviceQuery = Type.Object(
  {
    ...paging,
    state: Type.Optional(OneOf(deviceStates)),
    group: Type.Optional(Name),
    ...deviceFilters,
    sort: Type.Optional(
      Type.Unsafe<string>({
        ...{ type: 'string', enum: orders, default: 'id' },
        description: 'Ascending, or descending with - before it; devices that are equal in it by ID',
      }),
    ),
    total: Type.Optional(Type.Boolean({ description: 'Count how many fit, too' })),
  },
  strict,
)
type DeviceQuery = Static<typeof DeviceQuery>

export const DevicePage = Type.Object({
  items: Type.Array(Device),
  nextCursor: Nullable(Type.String()),
  total: Type.Optional(
    Type.Object({
      count: Type.Integer(),
      exact: Type.Boolean({ description: 'False where there may be more than were counted' }),
    }),
  ),
})

type Asked = Omit<DeviceQuery, 'limit' | 'cursor' | 'sort' | 'total'>

export function filterOf(query: Asked, scope: string | null): DeviceFilter {
  const { attribute, lastSeenBefore, lastSeenAfter, connectedBefore, connectedAfter, ...others } = query
  const { expiresBefore, expiresAfter, ...plain } = others
  const named = attribute === undefined ? null : attributeOf(attribute)
  const times = {
    lastSeenBefore,
    lastSeenAfter,
    connectedBefore,
    connectedAfter,
    expiresBefore,
    expiresAfter,
  }
  return { ...plain, ...(named && { attribute: named }), ...inMilliseconds(times), scope }
}

function inMilliseconds<Key extends string>(
  times: Record<Key, string | undefined>,
): Partial<Record<Key, number>> {
  const given = Object.entries<string | undefined>(times).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given.map(([key, value]) => [key, timestampOf(key, value)])) as never
}

export function sortOf(order = 'id'): DeviceSort {
  const descending = order.startsWith('-')
  return { by: (descending ? order.slice(1) : order) as DeviceSort['by'], descending }
}

/** A cursor goes on in the order for which it was made, and in no other. */
export function decodeDeviceCursor(cursor: string | undefined, order = 'id'): DeviceKey | null {
  const key = decodeCursor(cursor, text => parsed(text)?.order === order)
  return key === null ? null : parsed(key)!.key
}

export function encodeDeviceCursor(key: DeviceKey | null, order = 'id'): string | null {
  return encodeCursor(key === null ? null : JSON.stringify([order, key.value, key.id]))
}

function parsed(text: string): { order: string; key: DeviceKey } | null {
  try {
    const [order, value, id, ...more] = JSON.parse(text)
    const isValue = typeof value === 'string' || Number.isSafeInteger(value)
    if (typeof order !== 'string' || !isValue || typeof id !== 'string' || more.length > 0) return null
    return { order, key: { value, id } }
  } catch {
    return null
  }
}
