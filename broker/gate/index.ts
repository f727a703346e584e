// The gate: from TCP accept to an admitted, decrypted stream. Owns listener, limits and the admission decision;
// passes admitted connections to the connection handler and knows nothing of the engine.
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import { createSelfRegistration } from '../admission/self-registration.ts'
import { type TracedAdmission, traceAdmission } from '../observability/tracing.ts'
import { trustedBalancers } from '../settings/trusted-balancers.ts'
import { createAdmittedConnections } from './admitted-connections.ts'
import type { Gate, GateAdmission, GateOptions } from './interface.ts'
import type { HandshakeOutcome } from './limits/connection-limits.ts'
import { closeInOrder, createPendingConnections } from './limits/pending-connections.ts'
import { createRefusedConnections } from './refused-connections.ts'
import { identifyPeer } from './tls/peer.ts'
import { listen } from './transport/listener.ts'
import { createUnreadPieces } from './transport/unread-pieces.ts'
import { createWebSockets } from './transport/web-sockets.ts'

export type { Gate, GateAdmission, GateObserver, GateOptions, RegistryChange } from './interface.ts'

export async function openGate(options: GateOptions): Promise<Gate> {
  const { settings, observer } = options
  let trust = options.readTrust()
  const pieces = createUnreadPieces()
  const webSockets = createWebSockets(settings)
  // Gates share the bound: the kernel deals connections out among them.
  const pendingMax = Math.ceil(settings.certificatePendingMax / Math.max(1, settings.gates))
  const pending = createPendingConnections(settings.connectTimeoutMs, pendingMax)
  const selfRegister = createSelfRegistration({ ...options.selfRegistration, issuers: () => trust.issuers })
  const { refuse } = createRefusedConnections({ ...options, pending, webSockets, selfRegister })
  const { accept } = createAdmittedConnections({ ...options, pending, webSockets, pieces })

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
      accept(socket, address, peer, admission.record, trace)
      return 'known'
    } catch (error) {
      observer.refused('internal_error', { address }, (error as Error).message)
      closeInOrder(socket)
      return 'gone'
    }
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
