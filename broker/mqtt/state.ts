// A connection that the gate admitted and the Session State of its client (MQTT 5 §4.1): each knows the other. Types alone.
import type { Duplex } from 'node:stream'
import type { Ending } from '../../db/roll/last-seen.ts'
import type { Identity, TransportInfo } from '../connection-handler.ts'
import type { TokenBucket } from './connection/token-bucket.ts'
import type { Message, QoS } from './message.ts'
import type { Unread } from './protocol/frames.ts'
import type { Version } from './protocol/packets.ts'
import type { DeviceRights } from './rights-resolver.ts'

/** By their names, whatever they were granted. */
export type Filters = { keys(): Iterable<string> }

/** `at` in ms since the epoch, of CONNACK 0. */
export type AcceptedConnect = {
  clientId: string
  at: number
  protocolLevel: number
  keepAliveSeconds: number
  clean: boolean
  /** What it said its username is, cut to 128 characters; shown to operators, decided upon never. Absent where it said none. */
  username?: string
}

/** One admitted connection, from the gate to its end. Times in ms since the epoch. */
export type Session = {
  identity: Identity
  address: string
  transportInfo: TransportInfo | undefined
  /** Its connection; null before it is admitted and after it has ended. */
  client: Client | null
  /** What its CONNECT said; null until it was accepted. */
  connect: AcceptedConnect | null
  serialNumber: string
  issuerId: string | null
  /** When the gate handed it over, by `performance.now()`. */
  since: number
  /** When its right ends by itself. */
  rightEndsAt: number
  rights: DeviceRights
  /** What it is subscribed to. */
  filters: Filters & { readonly size: number }
  /** Whether its first CONNECT will make the certificate or the device active. */
  firstUse: boolean
  /** Level of the MQTT that its CONNECT speaks; null before. */
  protocolLevel: Version | null
  /** True from CONNACK 0 on. */
  connected: boolean
  /** Another connection of its device takes its place. */
  replaced?: true
  /** Why it was or is being ended; null while it lives. */
  ended: string | null
  /** Reason Code of the DISCONNECT that it was sent; null for none. */
  disconnectCode: number | null
  /** Reason Code of the DISCONNECT that came from it; null for none. */
  receivedCode: number | null
  /** How it ended where `ended` does not say. */
  ending: Ending
  /** Bytes of its packets, and how many of them are on record. */
  bytesIn: number
  bytesOut: number
  noted: { bytesIn: number; bytesOut: number }
}

/** Of a connection: `new` before CONNECT, `connecting` until CONNACK, `open`, `closed` from the moment it is given up. */
export type Phase = 'new' | 'connecting' | 'open' | 'closed'

export type Will = {
  message: Omit<Message, 'expiresAt' | 'sequence'>
  /** Its life from the moment it is sent; null for no end. */
  expirySeconds: number | null
  delaySeconds: number
}

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

/** Bytes that may be shared by many; a packet identifier of this connection is written at `identifierAt`, where that is not 0. */
export type Piece = { bytes: Buffer; identifierAt: number; identifier: number }

/** What may be sent once this group is on disk. */
export type Batch = {
  group: Promise<void> | null
  pieces: Piece[]
  bytes: number
  /** Of the messages from this client that are acknowledged with it. */
  inHandBytes: number
}

export type Subscription = {
  /** As it was asked for, `$share/…` included. */
  filter: string
  qos: QoS
  noLocal: boolean
  retainAsPublished: boolean
  /** Of version 5 (§3.8.2.1.2); null for none. */
  identifier: number | null
}

/** What decides on a copy for one Subscription Identifier. */
export type Matched = Pick<Subscription, 'qos' | 'retainAsPublished' | 'identifier'>

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
  /** Of subscriptions without an identifier; null where none of these matched. */
  matchedQos: QoS | null
  matchedAsPublished: boolean
  /** Those with an identifier; null where none of these matched. */
  matchedByIdentifier: Matched[] | null
}
