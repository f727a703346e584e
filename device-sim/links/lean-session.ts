// A lean link's session: what it hears, answers, sends and sends again. One record for each connection and functions that
// all of them share, since there are thousands. Refuses to know how the connection came about.
import type { TLSSocket } from 'node:tls'
import { generate } from 'mqtt-packet'
import { coarse, type Schedule, type Task } from '../pace.ts'
import {
  acknowledgement,
  DISCONNECT,
  markDup,
  PINGREQ,
  packetTypes,
  publishPacket,
  readPublish,
} from './packets.ts'
import type { Seen, Stage } from './seen.ts'
import {
  type Incoming,
  type LinkOptions,
  nothingUnfinished,
  type Session,
  type Unfinished,
} from './session.ts'

const END_DEADLINE_MS = 1_000

export type Link = Session & {
  socket: TLSSocket
  schedule: Schedule
  stage: Stage
  /** Until the attempt is over: to answer it, what for, and its deadline. */
  settle: ((result: { seen: Seen; session: Session | null }) => void) | null
  options: LinkOptions | null
  overdue: Task | null
  keepAliveMs: number
  ping: Task | null
  /** What has come of a packet that is not whole yet. */
  left: Buffer | null
  unfinished: Unfinished
  subscribing: Map<number, (granted: boolean) => void> | null
  lastWriteAt: number
  unansweredPing: boolean
  lastError: Error | null
  /** Why we ended the connection, where it was us. */
  fault: string | null
  closeCause: string | null
  heard: ((message: Incoming) => void) | null
  /** Until somebody listens: what a kept session waited with may come in one piece with its CONNACK. */
  early: Incoming[] | null
  announceClose: ((cause: string) => void) | null
}
/** CONNACK 0 came; `present` is what it says of an earlier session. */
export function begin(link: Link, present: boolean): void {
  link.present = present
  link.resumed = link.socket.isSessionReused()
  link.lastWriteAt = link.schedule.now()
  if (link.keepAliveMs > 0) keepAlive(link)
  if (present) resend(link)
  else Object.assign(link.unfinished, nothingUnfinished())
}

/** One packet of a session that stands. */
export function hear(link: Link, first: number, body: Buffer): void {
  const type = first >> 4
  if (type === packetTypes.publish) {
    received(link, first, body)
    return
  }
  if (type === packetTypes.pingresp) {
    link.unansweredPing = false
    return
  }
  if (body.length < 2) {
    breakOff(link, 'malformed_packet_from_broker')
    return
  }
  const { unfinished, subscribing } = link
  const messageId = body.readUInt16BE(0)
  switch (type) {
    case packetTypes.puback:
    case packetTypes.pubcomp: {
      const sent = unfinished.outgoing?.get(messageId)
      unfinished.outgoing?.delete(messageId)
      if (unfinished.outgoing?.size === 0) unfinished.outgoing = null
      sent?.onAck()
      return
    }
    case packetTypes.suback: {
      const answer = subscribing?.get(messageId)
      subscribing?.delete(messageId)
      if (subscribing?.size === 0) link.subscribing = null
      answer?.(body[2] !== 128)
      return
    }
    case packetTypes.pubrec: {
      const sent = unfinished.outgoing?.get(messageId)
      if (sent) sent.packet = null
      write(link, acknowledgement(packetTypes.pubrel, messageId))
      return
    }
    case packetTypes.pubrel:
      unfinished.unreleased?.delete(messageId)
      write(link, acknowledgement(packetTypes.pubcomp, messageId))
  }
}

export function breakOff(link: Link, fault: string): void {
  link.fault = fault
  link.left = null
  link.socket.destroy()
}

function write(link: Link, bytes: Buffer): void {
  if (!link.socket.writable) return
  link.lastWriteAt = link.schedule.now()
  link.socket.write(bytes)
}

function keepAlive(link: Link): void {
  const { schedule, keepAliveMs } = link
  if (link.unansweredPing) {
    breakOff(link, 'no_pingresp')
    return
  }
  // A tenth early: a ping that is late by a scheduling error is one too late [MQTT-3.1.2-24].
  if (schedule.now() - link.lastWriteAt >= keepAliveMs * 0.85) {
    link.unansweredPing = true
    write(link, PINGREQ)
  }
  link.ping = schedule.at(coarse(link.lastWriteAt + keepAliveMs * 0.9), () => keepAlive(link))
}

function nextId({ unfinished, subscribing }: Link): number {
  do unfinished.lastId = (unfinished.lastId % 65_535) + 1
  while (unfinished.outgoing?.has(unfinished.lastId) || subscribing?.has(unfinished.lastId))
  return unfinished.lastId
}

/** [MQTT-4.4.0-1] In the order of the first sending [MQTT-4.6.0-1]. */
function resend(link: Link): void {
  for (const [messageId, { packet }] of link.unfinished.outgoing ?? []) {
    if (packet) markDup(packet)
    write(link, packet ?? acknowledgement(packetTypes.pubrel, messageId))
  }
}

function received(link: Link, first: number, body: Buffer): void {
  const message = readPublish(first, body)
  if (!message) {
    breakOff(link, 'malformed_packet_from_broker')
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
  if (link.heard) link.heard(message)
  else {
    link.early ??= []
    link.early.push({ ...message, payload: Buffer.from(message.payload) })
  }
}

export const verbs: Omit<Session, 'resumed' | 'present'> & ThisType<Link> = {
  publish(message, onAck) {
    if (message.qos === 0) {
      write(this, publishPacket(message, 0))
      onAck()
      return
    }
    const messageId = nextId(this)
    const packet = publishPacket(message, messageId)
    this.unfinished.outgoing ??= new Map()
    this.unfinished.outgoing.set(messageId, { packet, onAck })
    write(this, packet)
  },
  subscribe(filter, qos, onResult) {
    const messageId = nextId(this)
    this.subscribing ??= new Map()
    this.subscribing.set(messageId, onResult)
    write(this, generate({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] }))
  },
  onMessage(handle) {
    this.heard = handle
    for (const message of this.early?.splice(0) ?? []) handle(message)
    this.early = null
  },
  onClose(handle) {
    this.announceClose = handle
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
      socket.once('close', () => {
        clearTimeout(force)
        resolve()
      })
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
