// The gate: from TCP accept to an admitted, decrypted stream. Owns listener, limits and the admission decision;
// hands what it admits through the door and never looks behind it.
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import type { Change } from '../../db/change-feed.ts'
import type { Reason } from '../../db/reason.ts'
import { type ArrivalsParts, createArrivals } from '../arrivals.ts'
import type { BrokerSettings } from '../config.ts'
import type { Door, HandedOver, Link } from '../door.ts'
import { type TracedAdmission, traceAdmission } from '../tracing.ts'
import { awaitFirstPacket, type FirstPacketOutcome } from './first-packet.ts'
import type { HandshakeOutcome, Limits } from './limits.ts'
import { listen } from './listener.ts'
import { createFrameReader, refusingConnack } from './packet-frames.ts'
import { identifyPeer } from './peer.ts'
import { closeInOrder, createPendingConnections } from './pending-connections.ts'
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

/** What of a change tells whom it may concern. */
export type RegistryChange = Pick<Change, 'kind' | 'deviceId' | 'fingerprint'>

export type Gate = {
  port: number
  /** Reads server certificate, key and trust anchors anew and takes new ticket keys; where that fails the old ones stay. */
  reload(ticketKeys: Buffer): void
  /** Seals and opens session tickets with these keys from now on. */
  useTicketKeys(ticketKeys: Buffer): void
  /** Asks again about connections that wait for CONNECT and that a change of the registry may concern. */
  changed(change: RegistryChange): void
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

export async function openGate(parts: GateParts): Promise<Gate> {
  const { settings, events } = parts
  let trust = parts.readTrust()
  const webSockets = createWebSockets(settings)
  const pending = createPendingConnections(settings.connectTimeoutMs)
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
        refuse(socket, address, peer, admission)
        return admission.record === null ? 'stranger' : 'known'
      }
      admitted(socket, address, peer, admission.record.deviceId, trace)
      return 'known'
    } catch (error) {
      events.refused('internal_error', { address }, (error as Error).message)
      closeInOrder(socket)
      return 'gone'
    }
  }

  /** A stranger is closed without a word; somebody listed is told by CONNACK when its CONNECT arrives. */
  function refuse(
    socket: TLSSocket,
    address: string,
    peer: Peer,
    admission: AtGate & { admitted: false },
  ): void {
    const { fingerprint } = peer
    const deviceId = admission.record?.deviceId ?? null
    const who = {
      address,
      ...(fingerprint === null ? {} : { fingerprint }),
      ...(deviceId === null ? {} : { deviceId }),
    }
    events.refused(reasonFor(socket, address, admission), who)
    if (deviceId === null) {
      closeInOrder(socket)
      return
    }
    let stream: Duplex = socket
    const handle = pending.add(socket, {
      peer,
      deviceId,
      onTimeout: () => closeInOrder(stream),
      onChange() {},
      onStop: () => closeInOrder(stream),
    })
    const answer = (outcome: FirstPacketOutcome) => {
      handle.settle()
      if (outcome.verdict === 'connect') stream.write(refusingConnack(outcome.protocolLevel))
      closeInOrder(stream)
    }
    awaitFirstPacket(socket, settings, outcome => {
      if (outcome.verdict !== 'http') return answer(outcome)
      webSockets.upgrade(socket, {
        opened(upgraded) {
          stream = upgraded
          awaitFirstPacket(upgraded, settings, answer)
        },
        refused() {
          handle.settle()
          closeInOrder(socket)
        },
        textFrame: () => closeInOrder(stream),
      })
    })
  }

  function reasonFor(socket: TLSSocket, address: string, { reason }: AtGate & { admitted: false }): Reason {
    const certificate = reason === 'certificate_unlisted' ? socket.getPeerX509Certificate() : undefined
    return (certificate && arrive(certificate, address)) ?? reason
  }

  /** Waits for CONNECT, of a WebSocket after its upgrade, and hands the stream through the door. */
  function admitted(socket: TLSSocket, address: string, peer: Peer, deviceId: string, trace?: string): void {
    const { fingerprint, chain } = peer
    if (fingerprint === null) throw new Error('nobody was admitted')
    const identity = { fingerprint, chain, deviceId }
    const who = { address, fingerprint, deviceId }
    let stream: Duplex = socket
    let handed: HandedOver | null = null
    let atDoor = false
    let over: Reason | null = null
    const handle = pending.add(socket, {
      peer,
      deviceId,
      onTimeout: () => end('connect_timeout'),
      onChange() {
        const now = parts.admit(peer)
        // While the registry is in doubt nobody is cut for it: the door asks again.
        if (now.admitted || now.reason === 'registry_unavailable') return
        handle.settle()
        events.refused(now.reason, who)
        socket.destroy()
      },
      onStop: () => closeInOrder(stream),
    })

    /** Refuses a connection that came this far, and closes it in order. */
    function end(reason: Reason, detail?: string): void {
      if (over !== null) return
      over = reason
      handle.settle()
      events.refused(reason, who, detail)
      if (atDoor) handed?.drop(reason)
      else closeInOrder(stream)
    }

    function receive(link: Link): void {
      awaitFirstPacket(stream, settings, outcome => {
        if (outcome.verdict === 'http' && stream === socket) return upgrade(link)
        if (outcome.verdict === 'connect') return handOver(link)
        if (outcome.verdict === 'refused') return end(outcome.reason)
        if (outcome.verdict === 'http') return end('connect_expected')
        handle.settle()
        closeInOrder(stream)
      })
    }

    function upgrade(link: Link): void {
      webSockets.upgrade(socket, {
        opened(upgraded) {
          stream = upgraded
          receive({ ...link, transport: 'websocket' })
        },
        refused: detail => end('websocket_refused', detail),
        textFrame: () => end('packet_malformed', 'a WebSocket text frame'),
      })
    }

    function handOver(link: Link): void {
      const frames = createFrameReader(settings.packetBytesMax)
      handle.handOver()
      atDoor = true
      // While somebody listens for 'readable', 'data' only reports what `read()` is about to give:
      // the size a packet declares is judged before the reader sees it.
      stream.on('data', (bytes: Buffer) => {
        const reason = frames.read(bytes)
        if (frames.packets() > 0) handle.settle()
        if (reason !== null) end(reason)
      })
      handed = parts.door({ stream, identity, address, link, trace })
      if (over !== null) handed.drop(over) // a gate's process reads on within the door
    }

    receive(linkOf(socket))
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
    changed: pending.changed,
    stop() {
      const gone = listener.stop()
      pending.stop()
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
