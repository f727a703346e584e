// What the engine knows of aedes 1.2.0 beyond its published types. Whoever upgrades aedes begins here.
import type { EventEmitter } from 'node:events'
import type { Aedes, AedesPublishPacket, Client, PublishPacket } from 'aedes'
import type { Reason } from '../../db/reason.ts'
import type { QoS } from '../../policy/rights.ts'
import { QuotaExceeded } from './durable/quota-exceeded.ts'
import { isCut, type Session } from './sessions.ts'
import type { Unacknowledged } from './unacknowledged.ts'

declare module 'aedes' {
  interface Aedes {
    /** Of the last message: it tells messages apart, and orders queues. */
    counter: number
    mq: { emit(packet: Routed, done: () => void): void }
    registerClient(client: Inside): void
    unregisterClient(client: Client): void
  }
}

/** A message as it is routed; `clientId` is its publisher's. */
export type Routed = AedesPublishPacket & { clientId?: string }

export type Will = PublishPacket & { qos: QoS; retain: boolean }

type Drained = (error: Error | null, client: Inside) => void

type Mutable<T> = { -readonly [key in keyof T]: T[key] }

/** What a client has sent, as read so far. */
export type Packet = {
  cmd: string
  /** Remaining length. */
  length: number
  qos: number
  dup: boolean
  messageId?: number
  subscriptions?: { topic: string; qos: QoS }[]
  unsubscriptions?: string[]
  will?: { topic: string; qos: number }
  username?: string
  password?: Buffer
}

/** That of mqtt-packet, of one connection. What reads gives null where the bytes are not what they should be. */
export type Parser = EventEmitter<{ packet: [Packet] }> & {
  packet: Packet
  /** From the packet's first byte behind its fixed header. */
  _list: { slice(from: number, to: number): Buffer; readUInt8(at: number): number }
  _pos: number
  _parseString(): string | null
  _parseConnect(): unknown
  /** Hands out the packet that was read; false where there is none more to read. */
  _newPacket(): boolean
  _emitError(error: Error): void
}

/** A client as aedes keeps it. `session` is ours. */
export type Inside = Mutable<Pick<Client, 'id' | 'clean' | 'version' | 'connected'>> &
  Client & {
    session?: Session
    will: Will | null
    _will: Will | null
    _authorized: boolean
    _keepaliveInterval: number
    _keepaliveTimer: NodeJS.Timeout | null
    /** Its 'packet' is handled by the one listener there is. */
    _parser: Parser
    /** Packets being handled. */
    _parsingBatch: number
    /** A packet is done with, or there is something to read: reads on where nothing is being handled. */
    _nextBatch(error?: Error | null): void
    /** Messages of QoS 2 awaiting PUBREL. */
    _inboundInflight: ReadonlySet<number>
    connackSent: boolean
    /** True once DISCONNECT arrived. */
    _disconnected: boolean
    subscriptions: Record<string, { qos: QoS }>
    _nextId: number
    /** Of what it got in groups; undefined where that is nothing. Ours. */
    unacknowledged?: Unacknowledged | undefined
    /**
     * What waited for its session is being handed out, and told here when it is over. Until then it holds back what comes, which
     * is queued. Ours.
     */
    catchingUp?: { end(newest: number): void; holds(packet: AedesPublishPacket): boolean }
    /** The numbers of the last few messages that it was sent, where several subscriptions may bring one. Ours. */
    got?: { counters: number[]; at: number }
    /** A SUBSCRIBE or UNSUBSCRIBE is done with. Ours. */
    subscribingDone?: () => void
    /** Calls back once the full socket has room again, with an error where it is closed. */
    waitForDrain(done: Drained): void
    _pendingDrains: Drained[]
    _handleDrain(): void
    /** Reads nothing more until resumed. */
    pause(): void
    resume(): void
    deliver0(packet: AedesPublishPacket, done: () => void): void
    deliverQoS(packet: AedesPublishPacket, done: () => void): void
    /** As a member of a group, with the QoS of the packet. Ours. */
    deliverShared(packet: AedesPublishPacket, done: () => void): void
  }

/** Publishes as the broker itself, which needs no right. */
export function publishOwn(
  aedes: Aedes,
  message: Pick<PublishPacket, 'topic' | 'payload' | 'qos' | 'retain'>,
  onFailed: (error: unknown) => void,
  done?: () => void,
): void {
  aedes.publish({ cmd: 'publish', dup: false, ...message }, error => (error ? onFailed(error) : done?.()))
}

/** How long a peer may take to close its side. */
const LINGER_MS = 1_000

/**
 * aedes destroys the socket whenever it closes a client: no close_notify is sent, and some clients never return (RFC 8446
 * §6.1). Ended in order instead: the session ends at once, the peer is told and closes its side, and one that does not is
 * destroyed. Whoever has lost its right is cut, and a connection that another one took over holds that one up by nothing.
 */
export function endInOrder(client: Inside): void {
  const { conn } = client
  const destroy = conn.destroy
  conn.destroy = (error?: Error) => {
    const bothEnded = conn.readableEnded && conn.writableFinished
    const cut = client.session !== undefined && isCut(client.session)
    // Errors of aedes say why it closes; those of the network carry a code, and there is nobody left to tell.
    const broken = error !== undefined && 'code' in error
    if (broken || cut || bothEnded) return destroy.call(conn, error)
    if (!conn.writableEnded) {
      conn.end()
      conn.resume() // or nobody sees the peer close
      const deadline = setTimeout(() => destroy.call(conn), LINGER_MS)
      conn.once('close', () => clearTimeout(deadline))
      if (client.session?.replaced === true) conn.once('finish', () => destroy.call(conn))
      client.close()
    }
    return conn
  }
}

/** Why aedes gave a connection up, where that is one of our reasons; it tells by words alone. */
export function reasonOfFailure(error: Error, connected: boolean): Reason | null {
  const { message } = error
  if (error instanceof QuotaExceeded) return error.reason
  if (message.startsWith('maxInflightInbound exceeded')) return 'quota_exceeded'
  if (/drain timeout/.test(message)) return 'consumer_too_slow'
  if (message === 'publish_denied') return 'publish_denied'
  if (/did not arrive in time/.test(message)) return 'connect_timeout'
  return connected ? null : 'packet_malformed'
}
