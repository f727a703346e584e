// The Session State of one client (MQTT 5 §4.1): its subscriptions, what is in flight both ways, and whether it outlives its
// connection. Data alone; the files beside this one act on it.
import type { Client } from '../connection/client.ts'
import type { Message, QoS } from '../message.ts'

export type Subscription = {
  /** As it was asked for, `$share/…` included. */
  filter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** Of version 5 (§3.8.2.1.2); null for none. */
  identifier: number | null
}

/** A message that a client was sent with QoS 1 or 2 and has not acknowledged. */
export type InFlight = {
  qos: 1 | 2
  /** PUBREC came: what is owed is PUBREL. */
  released: boolean
  /** Its row in the stored queue; null where it has none. */
  row: number | null
  bytes: number
  /** Of a shared subscription: what goes to another member where this session ends (MQTT 5 §4.8.2); null of others. */
  shared: SharedDelivery | null
}

/** `asked` names the group. */
export type SharedDelivery = { asked: string; message: Message }

/** A message that waits until the client may be sent more. */
export type Waiting = {
  message: Message
  qos: 1 | 2
  retain: boolean
  identifiers: readonly number[]
  shared: SharedDelivery | null
}

export type SessionState = {
  readonly clientId: string
  /** Whether it outlives its connection. */
  isKept: boolean
  /** Seconds that it outlives it; null for no end (3.1.1, and 0xFFFFFFFF of version 5), 0 where it ends with it all the same. */
  expirySeconds: number | null
  /** When it ends, in ms since the epoch; null while it is connected, or where it has no end. */
  endsAt: number | null
  /** Its row in the store; null where it has none. */
  row: number | null
  /** While its row is on the way to the disk. */
  storing: Promise<void> | null
  readonly subscriptions: Map<string, Subscription>
  /** What all of them weigh, as `weighFilter` has it. */
  subscriptionBytes: number
  /** Its connection; null while it is away. */
  client: Client | null
  /** Identifiers of messages of QoS 2 that came and await PUBREL. */
  incoming: Set<number> | null
  inFlight: Map<number, InFlight> | null
  /** The identifier to be tried next. */
  nextId: number
  /** Of a kept one: what comes joins its stored queue, which is handed out in order. */
  isQueueing: boolean
  /** Where sending again goes on, by row; null where all that was sent before is sent again. */
  resendAfter: number | null
  /** Of one that is not kept: what its window has no room for. */
  waiting: Waiting[] | null
  waitingBytes: number
  /** Scratch of the router: the message that was matched last, and how it matched. */
  mark: number
  matchedQos: QoS
  matchedAsPublished: boolean
  matchedIdentifiers: number[] | null
}

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
    matchedQos: 0,
    matchedAsPublished: false,
    matchedIdentifiers: null,
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
