// The gate: from TCP accept to an admitted, decrypted stream. Owns listener, limits and the admission decision;
// hands what it admits through the door and never looks behind it.
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import { type ArrivalsParts, createArrivals } from '../arrivals.ts'
import type { BrokerSettings } from '../config.ts'
import type { Door, Identity, Link } from '../door.ts'
import { type TracedAdmission, traceAdmission } from '../tracing.ts'
import { awaitFirstPacket, type FirstPacketOutcome } from './first-packet.ts'
import type { HandshakeOutcome, Limits } from './limits.ts'
import { listen } from './listener.ts'
import { createFrameReader, refusingConnack } from './packet-frames.ts'
import { identifyPeer } from './peer.ts'
import { trustedBalancers } from './proxy-header.ts'
import type { ReadTrust } from './trust.ts'
import { createWebSockets } from './web-sockets.ts'

export type GateEvents = {
  refused(
    reason: Reason,
    who: { address: string; fingerprint?: string; deviceId?: string },
    detail?: string,
  ): void
  handshakeTook(ms: number): void
  admissionTook(ms: number): void
  trustReloaded(issuers: number): void
  trustNotReloaded(error: unknown): void
}

/** What a gate needs to know of an admission: whom the registry lists the certificate for, null for nobody. */
export type AtGate =
  | { admitted: true; record: { deviceId: string } }
  | { admitted: false; reason: Reason; record: { deviceId: string } | null }

export type Gate = {
  port: number
  /** Reads server certificate, key and trust anchors anew and takes new ticket keys; where that fails the old ones stay. */
  reload(ticketKeys: Buffer): void
  /** Seals and opens session tickets with these keys from now on. */
  useTicketKeys(ticketKeys: Buffer): void
  /** Stops accepting and ends what is not through the door yet; resolves when the last connection is gone. */
  stop(): Promise<void>
}

export type GateParts = {
  host: string
  port: number
  /** Whether other gates listen on the same port. */
  shared: boolean
  settings: BrokerSettings
  limits: Limits
  readTrust: ReadTrust
  /** 48 bytes, the same for all gates of a broker. */
  ticketKeys: Buffer
  admit: (peer: Peer) => AtGate
  door: Door
  /** Where strangers are noted whose issuer lets them register themselves. */
  arrivals: Omit<ArrivalsParts, 'issuers'>
  events: GateEvents
}

/** How long a refused peer may take to close its side before the socket is destroyed. */
const LINGER_MS = 1_000
/** What somebody listed, but refused, is told where it begins a WebSocket. */
const FORBIDDEN = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

export async function openGate(parts: GateParts): Promise<Gate> {
  const { settings, events } = parts
  let trust = parts.readTrust()
  const webSockets = createWebSockets(settings)
  /** Connections whose first packet has not come yet. */
  const early = new Set<Duplex>()
  const arrive = createArrivals({ ...parts.arrivals, issuers: () => trust.issuers })

  const listener = await listen({
    host: parts.host,
    port: parts.port,
    secondPort: settings.secondPort,
    proxyFrom: trustedBalancers(settings.proxyFrom),
    shared: parts.shared,
    context: { ...trust.context, ticketKeys: parts.ticketKeys },
    handshakeTimeoutMs: settings.handshakeTimeoutMs,
    limits: parts.limits,
    onSecure,
    onRefused: (reason, address, detail) => events.refused(reason, { address }, detail),
  })

  function onSecure(socket: TLSSocket, address: string, handshakeMs: number): HandshakeOutcome {
    events.handshakeTook(handshakeMs)
    const begin = performance.now()
    try {
      const peer = identifyPeer(socket, trust.judgeChain)
      const admission = parts.admit(peer)
      const decisionMs = performance.now() - begin
      events.admissionTook(decisionMs)
      const trace = traceAdmission(() => tracedAdmission(socket, peer, admission, handshakeMs, decisionMs))
      if (!admission.admitted) {
        refuse(socket, address, peer.fingerprint, admission)
        return admission.record === null ? 'stranger' : 'known'
      }
      const { fingerprint, chain } = peer
      if (fingerprint === null) throw new Error('nobody was admitted')
      receive(
        socket,
        address,
        { fingerprint, chain, deviceId: admission.record.deviceId },
        linkOf(socket),
        trace,
      )
      return 'known'
    } catch (error) {
      events.refused('internal_error', { address }, (error as Error).message)
      cut(socket)
      return 'gone'
    }
  }

  /** A stranger is cut without a word; somebody listed is told by CONNACK when its CONNECT arrives. */
  function refuse(
    socket: TLSSocket,
    address: string,
    fingerprint: string | null,
    admission: AtGate & { admitted: false },
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
    awaitFirst(socket, outcome => {
      if (outcome.verdict === 'connect') socket.write(refusingConnack(outcome.protocolLevel))
      if (outcome.verdict === 'http') socket.write(FORBIDDEN)
      cut(socket)
    })
  }

  function awaitFirst(stream: Duplex, done: (outcome: FirstPacketOutcome) => void): void {
    early.add(stream)
    awaitFirstPacket(stream, settings, outcome => {
      early.delete(stream)
      done(outcome)
    })
  }

  function reasonFor(socket: TLSSocket, address: string, { reason }: AtGate & { admitted: false }): Reason {
    const certificate = reason === 'certificate_unlisted' ? socket.getPeerX509Certificate() : undefined
    return (certificate && arrive(certificate, address)) ?? reason
  }

  /** Waits for CONNECT, of a WebSocket after its upgrade, and hands the stream through the door. */
  function receive(stream: Duplex, address: string, identity: Identity, link: Link, trace?: string): void {
    const who = { address, fingerprint: identity.fingerprint, deviceId: identity.deviceId }
    awaitFirst(stream, outcome => {
      if (outcome.verdict === 'http' && stream instanceof TLSSocket) {
        webSockets.upgrade(stream, upgraded =>
          receive(upgraded, address, identity, { ...link, transport: 'websocket' }, trace),
        )
        return
      }
      if (outcome.verdict !== 'connect') {
        if (outcome.verdict === 'silent') events.refused('connect_timeout', who)
        if (outcome.verdict === 'refused') events.refused(outcome.reason, who)
        if (outcome.verdict === 'http') events.refused('connect_expected', who)
        cut(stream)
        return
      }
      const frames = createFrameReader(settings.packetBytesMax)
      // While somebody listens for 'readable', 'data' only reports what `read()` is about to give:
      // the size a packet declares is judged before the reader sees it.
      stream.on('data', (bytes: Buffer) => {
        const reason = frames.read(bytes)
        if (reason === null) return
        events.refused(reason, who)
        handed.drop(reason)
      })
      const handed = parts.door({ stream, identity, address, link, trace })
    })
  }

  return {
    port: listener.port,
    reload(ticketKeys) {
      try {
        trust = parts.readTrust()
        listener.reload({ ...trust.context, ticketKeys })
        events.trustReloaded(trust.issuers.size)
      } catch (error) {
        events.trustNotReloaded(error)
      }
    },
    useTicketKeys: listener.useTicketKeys,
    stop() {
      const gone = listener.stop()
      for (const stream of early) stream.destroy()
      return gone
    },
  }
}

function tracedAdmission(
  socket: TLSSocket,
  { fingerprint }: Peer,
  admission: AtGate,
  handshakeMs: number,
  decisionMs: number,
): TracedAdmission {
  const reason = admission.admitted ? null : admission.reason
  const deviceId = admission.record?.deviceId ?? null
  return { handshakeMs, decisionMs, fingerprint, deviceId, reason, resumed: socket.isSessionReused() }
}

function linkOf(socket: TLSSocket): Link {
  const tlsVersion = socket.getProtocol() ?? ''
  return { transport: 'tls', tlsVersion, cipher: socket.getCipher().name, resumed: socket.isSessionReused() }
}

/** Ends a connection in order, and for good where the peer does not follow. */
function cut(socket: Duplex): void {
  socket.on('error', () => {})
  socket.end()
  // Whoever still waits for 'readable' keeps the socket from flowing, and its end from being seen.
  socket.removeAllListeners('readable')
  socket.resume()
  const deadline = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once('close', () => clearTimeout(deadline))
}
