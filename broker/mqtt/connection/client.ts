// One network connection that the gate admitted, with the values of its CONNECT. Data alone.
import type { Duplex } from 'node:stream'
import type { Message, QoS } from '../message.ts'
import type { Unread } from '../protocol/frames.ts'
import type { Version } from '../protocol/packets.ts'
import type { SessionState } from '../session/session-state.ts'
import type { Batch, Piece } from './output.ts'
import type { Session } from './sessions.ts'
import type { TokenBucket } from './token-bucket.ts'

/** Of a connection: `new` before CONNECT, `connecting` until CONNACK, `open`, `closed` from the moment it is given up. */
export type Phase = 'new' | 'connecting' | 'open' | 'closed'

export type Will = {
  message: Omit<Message, 'expiresAt' | 'sequence'>
  /** Its life from the moment it is sent; null for no end. */
  expirySeconds: number | null
  delaySeconds: number
}

/** Topic aliases of one connection, each way. */
export const TOPIC_ALIASES_MAX = 16

export type Client = {
  readonly session: Session
  readonly stream: Duplex
  phase: Phase
  version: Version
  /** Null before CONNECT was accepted, and where another connection has taken the session over. */
  state: SessionState | null
  will: Will | null
  /** Of version 5: the client wants no Reason String and user properties (§3.1.2.11.7). */
  noProblemInformation: boolean
  /** Its session was there before this connection. */
  isResumed: boolean
  /** Session Expiry Interval of its CONNECT, in seconds; 0 before version 5. */
  sessionExpiryAsked: number
  /** What CONNACK said that it may publish at most. */
  announced: { qosMax: QoS; retains: boolean }
  /** How many messages of QoS 1 and 2 it takes at once. */
  receiveMaximum: number
  /** The largest packet that it takes. */
  packetBytesMax: number
  /** Topics by the alias that it gave them; null for none (§3.3.2.3.4). */
  aliases: Map<number, string> | null
  /** The aliases that it was given, by topic, and how many it takes. */
  aliasesGiven: Map<string, number> | null
  aliasMaximum: number

  // what it sends
  unread: Unread | null
  /** It has closed its side; called once what it sent before has been handled, or its connection is given up. */
  onEnd: (() => void) | null
  /** Why nothing more is read from it for now; at 0 it is. */
  holds: number
  heardAt: number
  /** When it last acknowledged something, by `performance.now()`. */
  acknowledgedAt: number
  keepAlive: NodeJS.Timeout | null
  /** What its device may still send; null until it counts. */
  bucket: TokenBucket | null
  /** When the turn of others comes, by `performance.now()`. */
  sliceEndsAt: number
  /** Bytes of its messages that wait for the disk. */
  inHandBytes: number
  isHeldInHand: boolean

  // what it is sent
  out: Piece[]
  outBytes: number
  /** What waits for the disk, in its order. */
  batches: Batch[]
  /** Its socket takes nothing more for now. */
  isFull: boolean
  /** It has been full for so long that nobody waits for it. */
  isStalled: boolean
  /** Publishers that wait until it has room. */
  holding: Client[] | null
  stall: NodeJS.Timeout | null
  /** Senders that wait until it has room. */
  onRoom: (() => void)[] | null
  /** Retained messages that it is being shown, by filter; each step tells how many bytes were shown, 0 where there was nothing to show. */
  showing: Map<string, Iterator<number>> | null
}

const NO_LIMIT: Client['announced'] = { qosMax: 2, retains: true }

export function newClient(session: Session, stream: Duplex): Client {
  return {
    session,
    stream,
    phase: 'new',
    version: 4,
    state: null,
    will: null,
    noProblemInformation: false,
    isResumed: false,
    sessionExpiryAsked: 0,
    announced: NO_LIMIT,
    receiveMaximum: 65_535,
    packetBytesMax: Number.POSITIVE_INFINITY,
    aliases: null,
    aliasesGiven: null,
    aliasMaximum: 0,
    unread: null,
    onEnd: null,
    holds: 0,
    heardAt: performance.now(),
    acknowledgedAt: 0,
    keepAlive: null,
    bucket: null,
    sliceEndsAt: 0,
    inHandBytes: 0,
    isHeldInHand: false,
    out: [],
    outBytes: 0,
    batches: [],
    isFull: false,
    isStalled: false,
    holding: null,
    stall: null,
    onRoom: null,
    showing: null,
  }
}
