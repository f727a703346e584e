// Sessions of devices: connected and kept ones, and ending them.
import type { Transport } from './transport.ts'
import type { Receipt } from './types.ts'

/** One for each device. `kept` outlives its connection. Times are RFC 3339 UTC. */
export type Session = {
  deviceId: string
  /** As brokers noted it within the last seconds. */
  connected: boolean
  kept: boolean
  messagesWaiting: number
  connectedAt: string | null
  /** Null while it is connected. */
  disconnectedAt: string | null
  address: string | null
  protocol: string | null
  /** The broker that has its connection. */
  node: string | null
}
/** All must hold. `sort` is `deviceId`, `connectedAt`, `lastSeen` or `messagesWaiting`, descending with `-` before it. */
export type SessionListing = {
  connected?: boolean
  kept?: true
  group?: string
  prefix?: string
  sort?: string
  limit?: number
}
export type KickReceipt = Receipt & { deviceId: string; cleared: boolean }

type Walk = <Item>(
  path: string,
  query: Record<string, string | number | boolean | undefined>,
) => AsyncGenerator<Item[], void>

export function sessionVerbs(call: Transport['call'], walk: Walk) {
  return {
    /** All sessions that fit, a page at a time. */
    pages: (filter: SessionListing = {}) => walk<Session>('/v1/sessions', filter),
    /** Ends it; the device may connect again. `clear` deletes what is stored of it, too. */
    kick: (deviceId: string, options: { clear?: boolean } = {}) =>
      call<KickReceipt>('POST', `/v1/devices/${encodeURIComponent(deviceId)}/sessions/kick`, options),
  }
}
