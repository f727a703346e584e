// A device's link in little memory: MQTT 3.1.1 on a TLS socket, nothing else. For fleets of thousands.
// Goes on with what a kept session left unfinished. Refuses to reconnect.
import type { TLSSocket } from 'node:tls'
import { generate } from 'mqtt-packet'
import type { Schedule, Task } from '../pace.ts'
import {
  acknowledgement,
  createReader,
  DISCONNECT,
  markDup,
  PINGREQ,
  packetTypes,
  publishPacket,
  readPublish,
} from './packets.ts'
import { codeOf, type Seen, type Stage, seenAtClose } from './seen.ts'
import { type Attempt, type Incoming, type LinkOptions, nothingUnfinished, type Session } from './session.ts'
import { openSocket, serverFaultAt } from './socket.ts'

const silent = (): void => {}
const END_DEADLINE_MS = 1_000

/** Starts one attempt. Never rejects: whatever happens is something seen. Keep-alive runs on the given schedule. */
export function openLeanLink(options: LinkOptions, schedule: Schedule): Attempt {
  let stage: Stage = 'tcp'
  let lastError: Error | null = null
  let settle: ((result: { seen: Seen; session: Session | null }) => void) | null = null
  const settled = new Promise<{ seen: Seen; session: Session | null }>(resolve => {
    settle = resolve
  })
  const wire: Wire = { take: welcomed, fault: null }
  let socket: TLSSocket
  const overdue = schedule.at(schedule.now() + options.timeoutMs, () =>
    finish({ kind: 'timeout', stage }, null),
  )

  function finish(seen: Seen, session: Session | null): void {
    if (!settle) return
    overdue.cancel()
    settle({ seen, session })
    settle = null
    if (!session) socket?.destroy()
  }

  function welcomed(first: number, body: Buffer): void {
    const [acknowledge = 0, code = 0] = body
    if (first >> 4 !== packetTypes.connack) finish({ kind: 'failed', code: `unexpected_${first >> 4}` }, null)
    else if (code !== 0) finish({ kind: 'connack', code }, null)
    else finish({ kind: 'admitted' }, sessionOver(socket, wire, schedule, options, (acknowledge & 1) === 1))
  }

  const read = createReader(
    (first, body) => wire.take(first, body),
    () => {
      wire.fault = 'malformed_packet_from_broker'
      socket.destroy()
    },
  )
  try {
    socket = openSocket(options, read)
  } catch (error) {
    finish({ kind: 'failed', code: codeOf(error as Error) }, null)
    return { settled, cancel: silent }
  }
  socket.once('connect', () => {
    stage = 'tls'
  })
  socket.once('secureConnect', () => {
    stage = 'mqtt'
    const fault = options.clockSkewMs ? serverFaultAt(socket, options.clockSkewMs) : null
    if (fault) finish({ kind: 'server_not_trusted', code: fault }, null)
    else socket.write(connectPacket(options))
  })
  socket.on('error', error => {
    lastError = error
  })
  socket.once('close', () => finish(seenAtClose(stage, lastError, Boolean(socket.authorizationError)), null))
  return { settled, cancel: () => finish({ kind: 'cancelled' }, null) }
}

/** Where packets go, and what was wrong where we ended the connection. */
type Wire = { take: (first: number, body: Buffer) => void; fault: string | null }

function connectPacket({ clientId, keepAliveSeconds = 60, clean = true }: LinkOptions): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId,
    clean,
    keepalive: keepAliveSeconds,
  })
}

function sessionOver(
  socket: TLSSocket,
  wire: Wire,
  schedule: Schedule,
  options: LinkOptions,
  present: boolean,
): Session {
  const keepAliveMs = (options.keepAliveSeconds ?? 60) * 1000
  const unfinished = options.unfinished ?? nothingUnfinished()
  let subscribing: Map<number, (granted: boolean) => void> | null = null
  let lastWriteAt = schedule.now()
  let unansweredPing = false
  // Until somebody listens: what a kept session waited with may come in one piece with its CONNACK.
  const early: Incoming[] = []
  let heard = (message: Incoming): void => {
    early.push({ ...message, payload: Buffer.from(message.payload) })
  }
  let announceClose: (cause: string) => void = silent
  let closeCause: string | null = null
  let ping: Task | null = keepAliveMs > 0 ? schedule.at(lastWriteAt + keepAliveMs, keepAlive) : null

  function write(bytes: Buffer): void {
    if (!socket.writable) return
    lastWriteAt = schedule.now()
    socket.write(bytes)
  }

  function keepAlive(): void {
    const idleMs = schedule.now() - lastWriteAt
    if (unansweredPing) {
      breakOff('no_pingresp')
      return
    }
    // A tenth early: a ping that is late by a scheduling error is one too late [MQTT-3.1.2-24].
    if (idleMs >= keepAliveMs * 0.85) {
      unansweredPing = true
      write(PINGREQ)
    }
    ping = schedule.at(lastWriteAt + keepAliveMs * 0.9, keepAlive)
  }

  function breakOff(fault: string): void {
    wire.fault = fault
    socket.destroy()
  }

  function nextId(): number {
    do unfinished.lastId = (unfinished.lastId % 65_535) + 1
    while (unfinished.outgoing?.has(unfinished.lastId) || subscribing?.has(unfinished.lastId))
    return unfinished.lastId
  }

  function acknowledged(messageId: number): void {
    const sent = unfinished.outgoing?.get(messageId)
    if (!sent) return
    unfinished.outgoing?.delete(messageId)
    if (unfinished.outgoing?.size === 0) unfinished.outgoing = null
    sent.onAck()
  }

  function received(first: number, body: Buffer): void {
    const message = readPublish(first, body)
    if (!message) {
      breakOff('malformed_packet_from_broker')
      return
    }
    const { messageId, qos } = message
    if (qos === 1) write(acknowledgement(packetTypes.puback, messageId))
    if (qos === 2) {
      const again = unfinished.unreleased?.has(messageId)
      unfinished.unreleased ??= new Set()
      unfinished.unreleased.add(messageId)
      write(acknowledgement(packetTypes.pubrec, messageId))
      if (again) return
    }
    heard(message)
  }

  /** [MQTT-4.4.0-1] In the order of the first sending [MQTT-4.6.0-1]. */
  function resend(): void {
    for (const [messageId, { packet }] of unfinished.outgoing ?? []) {
      if (packet) markDup(packet)
      write(packet ?? acknowledgement(packetTypes.pubrel, messageId))
    }
  }

  wire.take = (first, body) => {
    const type = first >> 4
    if (type === packetTypes.publish) return received(first, body)
    if (type === packetTypes.pingresp) {
      unansweredPing = false
      return
    }
    if (body.length < 2) return breakOff('malformed_packet_from_broker')
    const messageId = body.readUInt16BE(0)
    switch (type) {
      case packetTypes.puback:
      case packetTypes.pubcomp:
        return acknowledged(messageId)
      case packetTypes.suback: {
        const answer = subscribing?.get(messageId)
        subscribing?.delete(messageId)
        return answer?.(body[2] !== 128)
      }
      case packetTypes.pubrec: {
        const sent = unfinished.outgoing?.get(messageId)
        if (sent) sent.packet = null
        return write(acknowledgement(packetTypes.pubrel, messageId))
      }
      case packetTypes.pubrel:
        unfinished.unreleased?.delete(messageId)
        return write(acknowledgement(packetTypes.pubcomp, messageId))
    }
  }
  let lastError: Error | null = null
  socket.on('error', error => {
    lastError = error
  })
  socket.once('close', () => {
    ping?.cancel()
    subscribing = null
    const code = lastError ? codeOf(lastError).toLowerCase() : ''
    closeCause = wire.fault ?? (code === '' || code === 'econnreset' ? 'closed_by_broker' : code)
    announceClose(closeCause)
  })
  if (present) resend()
  else Object.assign(unfinished, nothingUnfinished())

  return {
    resumed: socket.isSessionReused(),
    present,
    publish(message, onAck) {
      if (message.qos === 0) {
        write(publishPacket(message, 0))
        onAck()
        return
      }
      const messageId = nextId()
      const packet = publishPacket(message, messageId)
      unfinished.outgoing ??= new Map()
      unfinished.outgoing.set(messageId, { packet, onAck })
      write(packet)
    },
    subscribe(filter, qos, onResult) {
      const messageId = nextId()
      subscribing ??= new Map()
      subscribing.set(messageId, onResult)
      write(generate({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] }))
    },
    onMessage(handle) {
      heard = handle
      for (const message of early.splice(0)) handle(message)
    },
    onClose(handle) {
      announceClose = handle
      if (closeCause !== null) handle(closeCause)
    },
    bufferedBytes: () => socket.writableLength,
    end() {
      if (closeCause !== null) return Promise.resolve()
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
    cut: () => void socket.destroy(),
    writeRaw: write,
    stopReading: () => void socket.pause(),
  }
}
