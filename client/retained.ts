// Retained messages: what there is, and clearing it.
import type { Transport } from './transport.ts'
import type { Receipt } from './types.ts'

/** Times are RFC 3339 UTC. */
export type RetainedMessage = {
  topic: string
  /** Its publisher; null for the broker. */
  deviceId: string | null
  qos: number
  /** Of its payload. */
  bytes: number
  /** Null where it is not known. */
  retainedAt: string | null
  expiresAt: string | null
}
/** All must hold. `filter` is a topic, or a topic filter. */
export type RetainedListing = { filter?: string; device?: string; limit?: number }
export type ClearReceipt = Receipt & { topics: string[] }

/** Of one call. */
export const TOPICS_CLEARED_MAX = 100

type Walk = <Item>(
  path: string,
  query: Record<string, string | number | boolean | undefined>,
) => AsyncGenerator<Item[], void>

export function retainedVerbs(call: Transport['call'], walk: Walk) {
  return {
    /** All that fit, a page at a time, in the order of their topics. */
    pages: (filter: RetainedListing = {}) => walk<RetainedMessage>('/v1/retained', filter),
    /** All of these topics or none; `TOPICS_CLEARED_MAX` at most. */
    clear: (topics: readonly string[]) => call<ClearReceipt>('POST', '/v1/retained/clear', { topics }),
  }
}
