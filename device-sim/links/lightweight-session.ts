// The session of a lightweight link: packets received, answered, sent and sent again. One record for each connection, and functions
// that all connections share, since there are thousands.
import { coarse, type Schedule, type Task } from '../schedule.ts'
import { subscribePacket } from './connect-packets.ts'
import { type ConnectResult, hex, type Stage } from './connect-result.ts'
import { readPublishV5, subackCodes, type V5, withAlias } from './lightweight-v5.ts'
import { tlsStateOf } from './open-wire.ts'
import {
  acknowledgement,
  DISCONNECT,
  markDup,
  PINGREQ,
  packetTypes,
  publishPacket,
  readPublish,
} from './packets.ts'
import {
  type Incoming,
  type LinkOptions,
  nothingUnfinished,
  type Session,
  type Unfinished,
} from './session.ts'
import type { Wire } from './wire.ts'

const END_DEADLINE_MS = 1_000

export type LightweightLink = Session & {
  socket: Wire
  schedule: Schedule
  stage: Stage
  /** Until the attempt is over: to answer it, what for, and its deadline. */
  settle: ((result: { result: ConnectResult; session: Session | null }) => void) | null
  options: LinkOptions | null
  overdue: Task | null
  keepAliveMs: number
  ping: Task | null
  /** The first bytes of a packet that is not complete yet. */
  left: Buffer | null
  unfinished: Unfinished
  subscribing: Map<number, (code: number) => void> | null
  /** Null below version 5. */
  v5: V5 | null
  lastWriteAt: number
  unansweredPing: boolean
  lastError: Error | null
  /** Why the device ended the connection; null where it did not. */
  closeReason: string | null
  closeCause: string | null
  messageHandler: ((message: Incoming) => void) | null
  /** Messages before the first listener: queued messages may arrive in one chunk with CONNACK. */
  earlyMessages: Incoming[] | null
  closeHandler: ((cause: string) => void) | null
  /** Of `end`, until it is closed. */
  ended: (() => void) | null
}
/** CONNACK 0 came; `present` is what it says of an earlier session. */
export function onConnected(link: LightweightLink, present: boolean): void {
  link.present = present
  link.resumed = tlsStateOf(link.socket)?.isSessionReused() ?? false
  link.lastWriteAt = link.schedule.now()
  if (link.keepAliveMs > 0) keepAlive(link)
  if (present) resend(link)
  else Object.assign(link.unfinished, nothingUnfinished())
}

/** Handles one packet of an open session. */
export function onPacket(link: LightweightLink, first: number, body: Buffer): void {
  const type = first >> 4
  if (type === packetTypes.publish) {
    received(link, first, body)
    return
  }
  if (type === packetTypes.pingresp) {
    link.unansweredPing = false
    return
  }
  if (type === packetTypes.disconnect && link.v5) {
    link.closeReason = `disconnect_${hex(body[0] ?? 0)}`
    link.socket.end()
    return
  }
  if (body.length < 2) {
    abort(link, 'malformed_packet_from_broker')
    return
  }
  acknowledged(link, type, body)
}

function acknowledged(link: LightweightLink, type: number, body: Buffer): void {
  const { unfinished, subscribing } = link
  const messageId = body.readUInt16BE(0)
  switch (type) {
    case packetTypes.puback:
    case packetTypes.pubcomp:
      finished(link, messageId, type === packetTypes.puback ? (body[2] ?? 0) : null)
      return
    case packetTypes.suback: {
      const answer = subscribing?.get(messageId)
      subscribing?.delete(messageId)
      if (subscribing?.size === 0) link.subscribing = null
      const codes = subackCodes(body, link.v5 !== null)
      if (codes) answer?.(codes[0] ?? 0x80)
      else abort(link, 'malformed_packet_from_broker')
      return
    }
    case packetTypes.pubrec: {
      const sent = unfinished.outgoing?.get(messageId)
      const code = link.v5 ? (body[2] ?? 0) : 0
      // It refuses the message, and nothing follows. [MQTT-4.3.3-4]
      if (code >= 0x80) {
        finished(link, messageId, code)
        return
      }
      if (sent) {
        sent.packet = null
        sent.code = code
      }
      write(link, acknowledgement(packetTypes.pubrel, messageId))
      return
    }
    case packetTypes.pubrel:
      unfinished.unreleased?.delete(messageId)
      write(link, acknowledgement(packetTypes.pubcomp, messageId))
  }
}

/** `code` is null where PUBREC has brought it. */
function finished({ unfinished, v5 }: LightweightLink, messageId: number, code: number | null): void {
  const sent = unfinished.outgoing?.get(messageId)
  unfinished.outgoing?.delete(messageId)
  if (unfinished.outgoing?.size === 0) unfinished.outgoing = null
  sent?.onAck(v5 ? (code ?? sent.code) : 0)
}

export function abort(link: LightweightLink, fault: string): void {
  link.closeReason = fault
  link.left = null
  link.socket.destroy()
}

function write(link: LightweightLink, bytes: Buffer): void {
  if (!link.socket.writable) return
  // Too early rather than too late: then a ping comes sooner than it must.
  link.lastWriteAt = link.schedule.lately()
  link.socket.write(bytes)
}

function keepAlive(link: LightweightLink): void {
  const { schedule, keepAliveMs } = link
  if (link.unansweredPing) {
    abort(link, 'no_pingresp')
    return
  }
  // A tenth early: a ping that is late by a scheduling error is one too late [MQTT-3.1.2-24].
  if (schedule.now() - link.lastWriteAt >= keepAliveMs * 0.85) {
    link.unansweredPing = true
    write(link, PINGREQ)
  }
  link.ping = schedule.at(coarse(link.lastWriteAt + keepAliveMs * 0.9), () => keepAlive(link))
}

function nextId({ unfinished, subscribing }: LightweightLink): number {
  do unfinished.lastId = (unfinished.lastId % 65_535) + 1
  while (unfinished.outgoing?.has(unfinished.lastId) || subscribing?.has(unfinished.lastId))
  return unfinished.lastId
}

/** [MQTT-4.4.0-1] In the order of the first sending [MQTT-4.6.0-1]. */
function resend(link: LightweightLink): void {
  for (const [messageId, { packet }] of link.unfinished.outgoing ?? []) {
    if (packet) markDup(packet)
    write(link, packet ?? acknowledgement(packetTypes.pubrel, messageId))
  }
}

function received(link: LightweightLink, first: number, body: Buffer): void {
  const message = link.v5 ? readPublishV5(link.v5, first, body) : readPublish(first, body)
  if (!message) {
    abort(link, 'malformed_packet_from_broker')
    return
  }
  const { messageId, qos } = message
  const { unfinished } = link
  if (qos === 1) write(link, acknowledgement(packetTypes.puback, messageId))
  if (qos === 2) {
    const again = unfinished.unreleased?.has(messageId)
    unfinished.unreleased ??= new Set()
    unfinished.unreleased.add(messageId)
    write(link, acknowledgement(packetTypes.pubrec, messageId))
    if (again) return
  }
  if (link.messageHandler) link.messageHandler(message)
  else {
    link.earlyMessages ??= []
    link.earlyMessages.push({ ...message, payload: Buffer.from(message.payload) })
  }
}

export const sessionMethods: Omit<Session, 'resumed' | 'present' | 'limits'> & ThisType<LightweightLink> = {
  keepsOrder: true,
  publish(message, onAck) {
    const { v5 } = this
    if (message.qos === 0) {
      const { message: own, alias } = v5 ? withAlias(v5, message) : { message, alias: 0 }
      write(this, publishPacket(own, 0, v5 !== null, alias))
      onAck(0)
      return
    }
    const messageId = nextId(this)
    const packet = publishPacket(message, messageId, v5 !== null)
    this.unfinished.outgoing ??= new Map()
    this.unfinished.outgoing.set(messageId, { packet, onAck, code: 0 })
    write(this, packet)
  },
  subscribe(subscription, onResult) {
    const messageId = nextId(this)
    this.subscribing ??= new Map()
    this.subscribing.set(messageId, onResult)
    write(this, subscribePacket(subscription, messageId, this.v5 !== null))
  },
  onMessage(handle) {
    this.messageHandler = handle
    for (const message of this.earlyMessages?.splice(0) ?? []) handle(message)
    this.earlyMessages = null
  },
  onClose(handle) {
    this.closeHandler = handle
    if (this.closeCause !== null) handle(this.closeCause)
  },
  bufferedBytes() {
    return this.socket.writableLength
  },
  end() {
    const { socket } = this
    if (this.closeCause !== null) return Promise.resolve()
    return new Promise(resolve => {
      const force = setTimeout(() => socket.destroy(), END_DEADLINE_MS)
      const before = this.ended
      this.ended = () => {
        before?.()
        clearTimeout(force)
        resolve()
      }
      // The broker closes in answer; what it still sends is read, or the close would be a reset.
      socket.resume()
      socket.end(DISCONNECT)
    })
  },
  cut() {
    this.socket.destroy()
  },
  writeRaw(bytes) {
    write(this, bytes)
  },
  stopReading() {
    this.socket.pause()
  },
}
