// The gate: from TCP accept to an admitted, decrypted stream. Owns listener, limits and the admission decision;
// passes admitted connections to the connection handler and knows nothing of the engine.
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import { createSelfRegistration } from '../admission/self-registration.ts'
import type { ConnectionHandle, TransportInfo } from '../connection-handler.ts'
import { createFrameReader, refusingConnack } from '../mqtt/protocol/packet-frames.ts'
import { type TracedAdmission, traceAdmission } from '../observability/tracing.ts'
import { trustedBalancers } from '../settings/trusted-balancers.ts'
import type { Gate, GateAdmission, GateOptions } from './interface.ts'
import type { HandshakeOutcome } from './limits/connection-limits.ts'
import { closeInOrder, createPendingConnections } from './limits/pending-connections.ts'
import { createRepeatedRefusals } from './limits/repeated-refusals.ts'
import { identifyPeer } from './tls/peer.ts'
import { awaitFirstPacket, type FirstPacketOutcome } from './transport/first-packet.ts'
import { listen } from './transport/listener.ts'
import { createUnreadPieces } from './transport/unread-pieces.ts'
import { createWebSockets } from './transport/web-sockets.ts'

export type { Gate, GateAdmission, GateObserver, GateOptions, RegistryChange } from './interface.ts'

/** Refusals whose cause may be gone at the next attempt: they are not counted against the certificate. */
const passing: readonly Reason[] = [
  'registry_unavailable',
  'internal_error',
  'registration_started',
  'registration_limited',
]

export async function openGate(options: GateOptions): Promise<Gate> {
  const { settings, observer } = options
  let trust = options.readTrust()
  const pieces = createUnreadPieces()
  const webSockets = createWebSockets(settings)
  // Gates share the bound: the kernel deals connections out among them.
  const pendingMax = Math.ceil(settings.certificatePendingMax / Math.max(1, settings.gates))
  const pending = createPendingConnections(settings.connectTimeoutMs, pendingMax)
  const repeated = createRepeatedRefusals(settings, () => performance.now())
  const arrive = createSelfRegistration({ ...options.selfRegistration, issuers: () => trust.issuers })

  const listener = await listen({
    host: options.host,
    port: options.port,
    secondPort: settings.secondPort,
    proxyFrom: trustedBalancers(settings.proxyFrom),
    shared: options.shared,
    context: { ...trust.context, ticketKeys: options.ticketKeys },
    handshakeTimeoutMs: settings.handshakeTimeoutMs,
    limits: options.limits,
    onSecure,
    onRefused: (reason, address, detail) => observer.refused(reason, { address }, detail),
  })

  function onSecure(socket: TLSSocket, address: string, handshakeMs: number): HandshakeOutcome {
    observer.handshakeTook(handshakeMs)
    const begin = performance.now()
    try {
      const peer = identifyPeer(socket, trust.verifyChain)
      const admission = options.admit(peer)
      const decisionMs = performance.now() - begin
      observer.admissionTook(decisionMs)
      const trace = traceAdmission(() => tracedAdmission(socket, peer, admission, handshakeMs, decisionMs))
      if (!admission.admitted) {
        const answered = refuse(socket, address, peer, admission)
        return admission.record === null || !answered ? 'stranger' : 'known'
      }
      admitted(socket, address, peer, admission.record.deviceId, trace)
      return 'known'
    } catch (error) {
      observer.refused('internal_error', { address }, (error as Error).message)
      closeInOrder(socket)
      return 'gone'
    }
  }

  /**
   * Closes a stranger without an answer; answers a listed device by CONNACK when its CONNECT arrives. False for a certificate that was
   * refused too often recently: its connection is closed later, or at once where too many wait.
   */
  function refuse(
    socket: TLSSocket,
    address: string,
    peer: Peer,
    admission: GateAdmission & { admitted: false },
  ): boolean {
    const { fingerprint } = peer
    const deviceId = admission.record?.deviceId ?? null
    const peerInfo = {
      address,
      ...(fingerprint === null ? {} : { fingerprint }),
      ...(deviceId === null ? {} : { deviceId }),
    }
    const reason = reasonFor(socket, address, admission)
    observer.refused(reason, peerInfo)
    const answer =
      fingerprint === null || passing.includes(reason) ? 'at_once' : repeated.refused(fingerprint)
    if (answer === 'delayed') delay(socket, peer, deviceId)
    else if (answer === 'closed' || deviceId === null) closeInOrder(socket)
    else answerConnect(socket, peer, deviceId, reason)
    if (answer === 'at_once') return true
    observer.refusalDelayed()
    return false
  }

  /** Reads nothing from the connection. A device that is admitted meanwhile is closed at once, so that it reconnects. */
  function delay(socket: TLSSocket, peer: Peer, deviceId: string | null): void {
    const fingerprint = peer.fingerprint ?? ''
    const over = () => closeInOrder(socket)
    const onChange = () => {
      if (!options.admit(peer).admitted) return
      repeated.forget(fingerprint)
      over()
    }
    const onSuperseded = () => void socket.destroy()
    const waiting = { peer, deviceId, onTimeout: over, onSuperseded, onChange, onStop: over }
    pending.add(socket, waiting, settings.refusalDelayMs)
    socket.once('close', () => repeated.release(fingerprint))
  }

  function answerConnect(socket: TLSSocket, peer: Peer, deviceId: string, reason: Reason): void {
    let stream: Duplex = socket
    const handle = pending.add(socket, {
      peer,
      deviceId,
      onTimeout: () => closeInOrder(stream),
      onSuperseded: () => void socket.destroy(),
      onChange() {},
      onStop: () => closeInOrder(stream),
    })
    const answer = (outcome: FirstPacketOutcome) => {
      handle.settle()
      if (outcome.verdict === 'connect') stream.write(refusingConnack(outcome.protocolLevel, reason))
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
        forbiddenFrame: () => closeInOrder(stream),
      })
    })
  }

  function reasonFor(
    socket: TLSSocket,
    address: string,
    { reason }: GateAdmission & { admitted: false },
  ): Reason {
    const certificate = reason === 'certificate_unlisted' ? socket.getPeerX509Certificate() : undefined
    return (certificate && arrive(certificate, address)) ?? reason
  }

  /** Waits for CONNECT, of a WebSocket after its upgrade, and passes the stream to the connection handler. */
  function admitted(socket: TLSSocket, address: string, peer: Peer, deviceId: string, trace?: string): void {
    const { fingerprint, chain } = peer
    if (fingerprint === null) throw new Error('admitted without a certificate')
    const identity = { fingerprint, chain, deviceId }
    const peerInfo = { address, fingerprint, deviceId }
    let stream: Duplex = socket
    let handed: ConnectionHandle | null = null
    let atDoor = false
    let over: Reason | null = null
    const handle = pending.add(socket, {
      peer,
      deviceId,
      onTimeout: () => end('connect_timeout'),
      onSuperseded() {
        end('connects_exceeded')
        socket.destroy() // at once: while it lingers it counts as a connection
      },
      onChange() {
        const now = options.admit(peer)
        // A registry in doubt cuts no connection here: the engine asks again after CONNECT.
        if (now.admitted || now.reason === 'registry_unavailable') return
        handle.settle()
        observer.refused(now.reason, peerInfo)
        socket.destroy()
      },
      onStop: () => closeInOrder(stream),
    })

    /** Refuses a connection after admission, and closes it in order. */
    function end(reason: Reason, detail?: string): void {
      if (over !== null) return
      over = reason
      handle.settle()
      observer.refused(reason, peerInfo, detail)
      if (atDoor) handed?.drop(reason)
      else closeInOrder(stream)
    }

    function receive(transportInfo: TransportInfo): void {
      awaitFirstPacket(stream, settings, outcome => {
        if (outcome.verdict === 'http' && stream === socket) return upgrade(transportInfo)
        if (outcome.verdict === 'connect') return handOver(transportInfo)
        if (outcome.verdict === 'refused') return end(outcome.reason)
        if (outcome.verdict === 'http') return end('connect_expected')
        handle.settle()
        closeInOrder(stream)
      })
    }

    function upgrade(transportInfo: TransportInfo): void {
      webSockets.upgrade(socket, {
        opened(upgraded) {
          stream = upgraded
          pieces.watch(upgraded)
          receive({ ...transportInfo, transport: 'websocket' })
        },
        refused: detail => end('websocket_refused', detail),
        forbiddenFrame: detail => end('packet_malformed', detail),
      })
    }

    function handOver(transportInfo: TransportInfo): void {
      const frames = createFrameReader(settings.packetBytesMax)
      handle.handOver()
      atDoor = true
      // With a listener for 'readable', 'data' only reports the bytes that `read()` is about to return: the declared size is
      // checked before the engine reads the packet.
      stream.on('data', (bytes: Buffer) => {
        const reason = frames.read(bytes)
        if (frames.packets() > 0) handle.settle()
        if (reason !== null) end(reason)
      })
      handed = options.handleConnection({ stream, identity, address, transportInfo, trace })
      if (over !== null) handed.drop(over) // a gate worker reads on inside the call
    }

    pieces.watch(socket)
    receive(transportInfoOf(socket))
  }

  return {
    port: listener.port,
    reload(ticketKeys) {
      try {
        trust = options.readTrust()
        listener.reload({ ...trust.context, ticketKeys })
        observer.trustReloaded(trust.issuers.size)
      } catch (error) {
        observer.trustNotReloaded(error)
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
  admission: GateAdmission,
  handshakeMs: number,
  decisionMs: number,
): TracedAdmission {
  const reason = admission.admitted ? null : admission.reason
  const deviceId = admission.record?.deviceId ?? null
  return { handshakeMs, decisionMs, fingerprint, deviceId, reason, resumed: socket.isSessionReused() }
}

function transportInfoOf(socket: TLSSocket): TransportInfo {
  const tlsVersion = socket.getProtocol() ?? ''
  return { transport: 'tls', tlsVersion, cipher: socket.getCipher().name, resumed: socket.isSessionReused() }
}
