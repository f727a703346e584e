// A device's link in little memory: mqtt-packet on a TLS socket, MQTT 3.1.1, nothing else. For fleets of thousands.
// Refuses to reconnect, to store and to resend: what is not acknowledged when the session ends is the device's loss.
import type { TLSSocket } from 'node:tls'
import { generate, type Packet, parser } from 'mqtt-packet'
import type { Schedule, Task } from '../pace.ts'
import { codeOf, type Seen, type Stage, seenAtClose } from './seen.ts'
import type { Attempt, Incoming, LinkOptions, Outgoing, Qos, Session } from './session.ts'
import { openSocket, serverFaultAt } from './socket.ts'

const silent = (): void => {}
const END_DEADLINE_MS = 1_000
const PINGREQ = Buffer.from([0xc0, 0])
const DISCONNECT = Buffer.from([0xe0, 0])

/** Starts one attempt. Never rejects: whatever happens is something seen. Keep-alive runs on the given schedule. */
export function openLeanLink(options: LinkOptions, schedule: Schedule): Attempt {
  let stage: Stage = 'tcp'
  let lastError: Error | null = null
  let settle: ((result: { seen: Seen; session: Session | null }) => void) | null = null
  const settled = new Promise<{ seen: Seen; session: Session | null }>(resolve => {
    settle = resolve
  })
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

  try {
    socket = openSocket(options)
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
  const wire = createWire(socket)
  wire.onPacket = packet => {
    if (packet.cmd !== 'connack') return finish({ kind: 'failed', code: `unexpected_${packet.cmd}` }, null)
    const code = packet.returnCode ?? 0
    if (code !== 0) return finish({ kind: 'connack', code }, null)
    finish({ kind: 'admitted' }, sessionOver(wire, schedule, options))
  }
  return { settled, cancel: () => finish({ kind: 'cancelled' }, null) }
}

type Wire = {
  socket: TLSSocket
  onPacket: (packet: Packet) => void
  fault: string | null
}

function createWire(socket: TLSSocket): Wire {
  const wire: Wire = { socket, onPacket: silent, fault: null }
  const incoming = parser({ protocolVersion: 4 })
  incoming.on('packet', (packet: Packet) => wire.onPacket(packet))
  incoming.on('error', () => {
    wire.fault = 'malformed_packet_from_broker'
    socket.destroy()
  })
  socket.on('data', bytes => incoming.parse(bytes))
  return wire
}

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

function sessionOver(wire: Wire, schedule: Schedule, options: LinkOptions): Session {
  const { socket } = wire
  const keepAliveMs = (options.keepAliveSeconds ?? 60) * 1000
  let waiting: Map<number, (granted: boolean) => void> | null = null
  let unreleased: Set<number> | null = null
  let lastId = 0
  let lastWriteAt = schedule.now()
  let unansweredPing = false
  let heard: (message: Incoming) => void = silent
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
      wire.fault = 'no_pingresp'
      socket.destroy()
      return
    }
    // A tenth early: a ping that is late by a scheduling error is one too late [MQTT-3.1.2-24].
    if (idleMs >= keepAliveMs * 0.85) {
      unansweredPing = true
      write(PINGREQ)
    }
    ping = schedule.at(lastWriteAt + keepAliveMs * 0.9, keepAlive)
  }

  function nextId(): number {
    do lastId = (lastId % 65_535) + 1
    while (waiting?.has(lastId))
    return lastId
  }

  function expect(id: number, answer: (granted: boolean) => void): void {
    waiting ??= new Map()
    waiting.set(id, answer)
  }

  function answered(id: number | undefined, granted: boolean): void {
    const answer = waiting?.get(id ?? 0)
    if (!answer) return
    waiting?.delete(id ?? 0)
    if (waiting?.size === 0) waiting = null
    answer(granted)
  }

  function received(packet: Extract<Packet, { cmd: 'publish' }>): void {
    const { messageId = 0, qos } = packet
    if (qos === 1) write(generate({ cmd: 'puback', messageId }))
    if (qos === 2) {
      const again = unreleased?.has(messageId)
      unreleased ??= new Set()
      unreleased.add(messageId)
      write(generate({ cmd: 'pubrec', messageId }))
      if (again) return
    }
    const payload = packet.payload as Buffer
    heard({ topic: packet.topic, payload, qos: qos as Qos, dup: packet.dup })
  }

  wire.onPacket = packet => {
    switch (packet.cmd) {
      case 'publish':
        return received(packet)
      case 'puback':
      case 'pubcomp':
        return answered(packet.messageId, true)
      case 'suback':
        return answered(packet.messageId, packet.granted[0] !== 128)
      case 'pubrec':
        return write(generate({ cmd: 'pubrel', messageId: packet.messageId ?? 0 }))
      case 'pubrel':
        unreleased?.delete(packet.messageId ?? 0)
        return write(generate({ cmd: 'pubcomp', messageId: packet.messageId ?? 0 }))
      case 'pingresp':
        unansweredPing = false
    }
  }
  let lastError: Error | null = null
  socket.on('error', error => {
    lastError = error
  })
  socket.once('close', () => {
    ping?.cancel()
    waiting = null
    const code = lastError ? codeOf(lastError).toLowerCase() : ''
    closeCause = wire.fault ?? (code === '' || code === 'econnreset' ? 'closed_by_broker' : code)
    announceClose(closeCause)
  })

  return {
    resumed: socket.isSessionReused(),
    publish({ topic, payload, qos, retain = false }: Outgoing, onAck) {
      if (qos === 0) {
        write(generate({ cmd: 'publish', topic, payload, qos, retain, dup: false }))
        onAck()
        return
      }
      const messageId = nextId()
      expect(messageId, onAck)
      write(generate({ cmd: 'publish', topic, payload, qos, retain, dup: false, messageId }))
    },
    subscribe(filter, qos, onResult) {
      const messageId = nextId()
      expect(messageId, onResult)
      write(generate({ cmd: 'subscribe', messageId, subscriptions: [{ topic: filter, qos }] }))
    },
    onMessage(handle) {
      heard = handle
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
