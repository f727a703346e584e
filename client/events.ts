// Events of the fleet, as they happened and as they happen, and the fleet at a glance.
import type { IncomingMessage } from 'node:http'
import type { BrokerNode } from './nodes.ts'
import type { Transport } from './transport.ts'

/** A notification; the record is the audit log. `at` is RFC 3339. */
export type FleetEvent = {
  seq: number
  at: string
  kind: string
  deviceId: string | null
  fingerprint: string | null
  reason: string | null
  node: string | null
  detail: Record<string, unknown>
}
export type EventFilter = { device?: string; kind?: string; reason?: string; since?: string; limit?: number }

/** Null where an operator bound to one group may not see it. Times are RFC 3339. */
export type FleetOverview = {
  at: string
  devices: Record<string, number>
  certificates: {
    byStatus: Record<string, number>
    expiring: { withinSeconds: number; count: number }[]
    expired: number
  }
  connected: number
  waitingApproval: number
  ca: { issuers: { id: string; name: string; enabled: boolean; current: boolean; keyHere: boolean }[] } | null
  nodes: BrokerNode[] | null
}

export type HistorySpan = 'hour' | 'day' | 'week' | 'month' | 'year'
/** Times are RFC 3339, averages and maxima null where nothing was sampled. */
export type History = {
  span: HistorySpan
  periodSeconds: number
  periods: {
    at: string
    sessions: number | null
    sessionsMax: number | null
    connected: number
    disconnected: number
    refused: Record<string, number>
    denied: number
    messagesReceived: number
    messagesSent: number
    messagesDropped: number
    bytesReceived: number
    bytesSent: number
    /** From a PUBLISH to its acknowledgement; one of 16 is timed. */
    acknowledgementMs: number | null
    acknowledgementMaxMs: number | null
    routingMs: number | null
    routingMaxMs: number | null
    changes: Record<string, number>
  }[]
}

type Walk = <Item>(
  path: string,
  query: Record<string, string | number | undefined>,
) => AsyncGenerator<Item[], void>

export function eventVerbs({ call, stream }: Transport, walk: Walk) {
  return {
    overview: () => call<FleetOverview>('GET', '/v1/overview'),
    /** Figures of the fleet over time. */
    history: (span: HistorySpan = 'day') => call<History>('GET', `/v1/history?span=${span}`),
    events: {
      /** The newest first. */
      pages: (filter: Partial<Record<keyof EventFilter, string | number | undefined>> = {}) =>
        walk<FleetEvent>('/v1/events', filter),
      /** Server-sent events as they happen: lines `data: ` hold them. */
      stream(
        filter: { [Name in keyof EventFilter]?: EventFilter[Name] | undefined } = {},
      ): Promise<IncomingMessage> {
        const query = new URLSearchParams()
        for (const [name, value] of Object.entries(filter))
          if (value !== undefined) query.set(name, String(value))
        return stream('GET', `/v1/events/stream?${query}`, { waits: true })
      },
    },
  }
}
