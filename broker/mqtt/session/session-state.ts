// Makes the Session State of one client, weighs its filters and gives its packet identifiers.
import type { InFlight, SessionState } from '../state.ts'

export function newSessionState(clientId: string, isKept: boolean): SessionState {
  return {
    clientId,
    isKept,
    expirySeconds: null,
    endsAt: null,
    row: null,
    storing: null,
    subscriptions: new Map(),
    subscriptionBytes: 0,
    client: null,
    incoming: null,
    inFlight: null,
    nextId: 1,
    isQueueing: false,
    resendAfter: null,
    waiting: null,
    waitingBytes: 0,
    mark: 0,
    matchedQos: null,
    matchedAsPublished: false,
    matchedByIdentifier: null,
  }
}

const FILTER_BYTES = 768
const LEVEL_BYTES = 280

/** Bytes that a filter takes in memory at most: texts, entries of maps, and a node for each level. */
export function weighFilter(filter: string): number {
  return FILTER_BYTES + 2 * filter.length + LEVEL_BYTES * filter.split('/').length
}

const MESSAGE_ID_MAX = 65_535

/** A packet identifier that is not in use [MQTT-2.2.1-3]; 0 where all are. */
export function takeIdentifier(state: SessionState): number {
  const { inFlight } = state
  if (inFlight !== null && inFlight.size >= MESSAGE_ID_MAX) return 0
  let id = state.nextId
  while (inFlight?.has(id)) id = (id % MESSAGE_ID_MAX) + 1
  state.nextId = (id % MESSAGE_ID_MAX) + 1
  return id
}

export function inFlightOf(state: SessionState): Map<number, InFlight> {
  state.inFlight ??= new Map()
  return state.inFlight
}
