// Devices that are on the roll and still do wrong on the wire: before their CONNECT, or once they are in.
// Their results are counted like those of any other attempt or session.
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FaultKind } from '../faults.ts'
import { connectPacket } from '../links/connect-packets.ts'
import { type ConnectResult, resultAtClose } from '../links/connect-result.ts'
import type { Attempt, LinkOptions, Session } from '../links/session.ts'
import { openSocket } from '../links/socket.ts'
import type { Device } from './device-state.ts'
import type { WorkerContext } from './worker-context.ts'

/** How long a broker may look at nonsense until it should have closed. */
const CUT_DEADLINE_MS = 10_000
/** How long one that begins and never finishes is waited for. */
const PATIENCE_MS = 30_000
const DROP_AFTER_MS = 10_000
const BYTE_EVERY_MS = 1_000
const READ_FOR_MS = 1_000

/** TLS record header of a ClientHello that is announced and never comes. */
const HALF_A_HELLO = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
/** Packet type 15 is reserved in MQTT 3.1.1, its flags are in MQTT 5. */
const NO_PACKET = Buffer.from([0xff, 0x02, 0x00, 0x00])
/** PUBLISH with the largest remaining length there is, and the first bytes of its topic. */
const ENDLESS_PUBLISH = Buffer.concat([
  Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x05]),
  Buffer.from('large'),
])

/** Faults that wait for the broker to close the connection: a broker that never does fails. */
export function waitsForClose(fault: FaultKind | null): boolean {
  return fault === 'half-open' || fault === 'slow-writer'
}

/** An attempt that does not go the way of a CONNECT; null for every other fault. */
export function openFaultyConnection(
  fault: FaultKind | null,
  options: LinkOptions,
  context: WorkerContext,
): Attempt | null {
  if (fault === 'half-open') {
    const { host, port } = options.broker
    const localAddress = options.localAddress === undefined ? {} : { localAddress: options.localAddress }
    return watch(connectTcp({ host, port, ...localAddress }), context, 'connect', socket =>
      socket.write(HALF_A_HELLO),
    )
  }
  if (fault === 'slow-writer')
    return watch(openSocket(options), context, 'secureConnect', dribble(options, context))
  if (fault === 'handshake-flood') {
    return watch(openSocket(options), context, 'secureConnect', socket => socket.destroy())
  }
  return null
}

type Begin = (socket: Duplex) => void

function watch(
  socket: Duplex,
  context: WorkerContext,
  ready: 'connect' | 'secureConnect',
  begin: Begin,
): Attempt {
  let error: Error | null = null
  let stage: 'tcp' | 'tls' | 'mqtt' = 'tcp'
  let ended: ConnectResult | null = null
  const settled = new Promise<{ result: ConnectResult; session: null }>(resolve => {
    const overdue = context.schedule.at(context.schedule.now() + PATIENCE_MS, () => {
      ended = { kind: 'timeout', stage }
      socket.destroy()
    })
    socket.once('connect', () => {
      stage = 'tls'
    })
    socket.once('close', () => {
      overdue.cancel()
      resolve({ result: ended ?? resultAtClose(stage, error, false), session: null })
    })
  })
  socket.on('error', fault => {
    error = fault
  })
  socket.resume()
  socket.once(ready, () => {
    if (ready === 'secureConnect') stage = 'mqtt'
    begin(socket)
    if (socket.destroyed) ended = { kind: 'handshake_only' }
  })
  return {
    settled,
    cancel: () => {
      ended = { kind: 'cancelled' }
      socket.destroy()
    },
  }
}

function dribble(options: LinkOptions, context: WorkerContext): Begin {
  const bytes = connectPacket(options)
  return socket => {
    let sent = 0
    const next = (): void => {
      if (socket.destroyed || sent >= bytes.length) return
      socket.write(bytes.subarray(sent, ++sent))
      context.schedule.at(context.schedule.now() + BYTE_EVERY_MS, next)
    }
    next()
  }
}

type KeptTooLong = (device: Device, context: WorkerContext, session: Session) => void

/** What a device does once it is in. True where it should be cut for that. */
export function misbehave(
  device: Device,
  context: WorkerContext,
  session: Session,
  kept: KeptTooLong,
): boolean {
  const { schedule } = context
  switch (device.group.plan.fault) {
    case 'dropped-tcp': {
      const afterMs = -Math.log(1 - device.random()) * DROP_AFTER_MS
      schedule.at(schedule.now() + afterMs, () => device.session === session && session.cut())
      return false
    }
    case 'slow-reader':
      schedule.at(schedule.now() + READ_FOR_MS, () => {
        session.stopReading()
        // What it does not read is its own loss, and what still comes at its end says nothing of the broker.
        session.onMessage(() => {})
        device.filters = []
      })
      return false
    case 'malformed':
    case 'oversize':
      session.writeRaw(device.group.plan.fault === 'malformed' ? NO_PACKET : ENDLESS_PUBLISH)
      schedule.at(schedule.now() + CUT_DEADLINE_MS, () => kept(device, context, session))
      return true
    default:
      return false
  }
}
