// The gate: from TCP accept to an admitted, decrypted stream. Owns listener, limits and the admission decision;
// hands what it admits through the door and never looks behind it.
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import type { Admission } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import type { Admit } from '../admit.ts'
import type { Arrive } from '../arrivals.ts'
import type { BrokerSettings } from '../config.ts'
import type { Door, Identity } from '../door.ts'
import { awaitFirstPacket } from './first-packet.ts'
import { createLimits } from './limits.ts'
import { listen } from './listener.ts'
import { createFrameReader, refusingConnack } from './packet-frames.ts'
import { type IssuersNow, identifyPeer } from './peer.ts'

export type GateEvents = {
  refused(
    reason: Reason,
    who: { address: string; fingerprint?: string; deviceId?: string },
    detail?: string,
  ): void
  handshakeTook(ms: number): void
  admissionTook(ms: number): void
}

export type Gate = {
  port: number
  reload(context: SecureContextOptions): void
  stop(): Promise<void>
  counts(): { connections: number; handshakes: number }
}

export type GateParts = {
  host: string
  port: number
  context: SecureContextOptions
  settings: BrokerSettings
  admit: Admit
  issuers: IssuersNow
  door: Door
  /** What a stranger of an issuer we know is refused for, where it may be about to register itself. */
  arrive: Arrive
  events: GateEvents
}

/** How long a refused peer may take to close its side before the socket is destroyed. */
const LINGER_MS = 1_000

export async function openGate(parts: GateParts): Promise<Gate> {
  const { settings, events } = parts
  const limits = createLimits(settings, () => performance.now())

  const listener = await listen({
    host: parts.host,
    port: parts.port,
    context: parts.context,
    handshakeTimeoutMs: settings.handshakeTimeoutMs,
    ticketLifetimeMs: settings.ticketLifetimeMs,
    limits,
    onSecure,
    onRefused: (reason, address, detail) => events.refused(reason, { address }, detail),
  })

  function onSecure(socket: TLSSocket, address: string, handshakeMs: number): void {
    events.handshakeTook(handshakeMs)
    const begin = performance.now()
    try {
      const peer = identifyPeer(socket, parts.issuers)
      const admission = parts.admit(peer)
      events.admissionTook(performance.now() - begin)
      if (!admission.admitted) {
        refuse(socket, address, peer.fingerprint, admission)
        return
      }
      const { fingerprint, deviceId } = admission.record
      receive(socket, address, { fingerprint, deviceId, chain: peer.chain })
    } catch (error) {
      events.refused('internal_error', { address }, (error as Error).message)
      cut(socket)
    }
  }

  /** A stranger is cut without a word; somebody listed is told by CONNACK when its CONNECT arrives. */
  function refuse(
    socket: TLSSocket,
    address: string,
    fingerprint: string | null,
    admission: Admission & { admitted: false },
  ): void {
    const who = {
      address,
      ...(fingerprint === null ? {} : { fingerprint }),
      ...(admission.record === null ? {} : { deviceId: admission.record.deviceId }),
    }
    events.refused(reasonFor(socket, address, admission), who)
    if (admission.record === null) {
      cut(socket)
      return
    }
    awaitFirstPacket(socket, settings, outcome => {
      if (outcome.verdict === 'connect') socket.write(refusingConnack(outcome.protocolLevel))
      cut(socket)
    })
  }

  function reasonFor(
    socket: TLSSocket,
    address: string,
    { reason }: Admission & { admitted: false },
  ): Reason {
    const certificate = reason === 'certificate_unlisted' ? socket.getPeerX509Certificate() : undefined
    return (certificate && parts.arrive(certificate, address)) ?? reason
  }

  function receive(socket: TLSSocket, address: string, identity: Identity): void {
    const who = { address, fingerprint: identity.fingerprint, deviceId: identity.deviceId }
    awaitFirstPacket(socket, settings, outcome => {
      if (outcome.verdict !== 'connect') {
        if (outcome.verdict === 'silent') events.refused('connect_timeout', who)
        if (outcome.verdict === 'refused') events.refused(outcome.reason, who)
        return cut(socket)
      }
      const frames = createFrameReader(settings.packetBytesMax)
      // While somebody listens for 'readable', 'data' only reports what `read()` is about to give:
      // the size a packet declares is judged before the reader sees it.
      socket.on('data', (bytes: Buffer) => {
        const reason = frames.read(bytes)
        if (reason === null) return
        events.refused(reason, who)
        handed.drop(reason)
      })
      const handed = parts.door({ stream: socket, identity, address })
    })
  }

  return { port: listener.port, reload: listener.reload, stop: listener.stop, counts: limits.counts }
}

/** Ends a connection in order, and for good where the peer does not follow. */
function cut(socket: TLSSocket): void {
  socket.on('error', () => {})
  socket.end()
  // Whoever still waits for 'readable' keeps the socket from flowing, and its end from being seen.
  socket.removeAllListeners('readable')
  socket.resume()
  const deadline = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(deadline))
}
