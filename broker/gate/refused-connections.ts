// Connections that admission refuses: a stranger is closed, a listed device is answered, a certificate refused again and again waits.
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import type { createSelfRegistration } from '../admission/self-registration.ts'
import { refusingConnack } from '../mqtt/protocol/packet-frames.ts'
import type { GateAdmission, GateOptions } from './interface.ts'
import { closeInOrder, type createPendingConnections } from './limits/pending-connections.ts'
import { createRepeatedRefusals } from './limits/repeated-refusals.ts'
import { awaitFirstPacket, type FirstPacketOutcome } from './transport/first-packet.ts'
import type { createWebSockets } from './transport/web-sockets.ts'

type RefusedConnectionsParts = Pick<GateOptions, 'settings' | 'observer' | 'admit'> & {
  pending: ReturnType<typeof createPendingConnections>
  webSockets: ReturnType<typeof createWebSockets>
  selfRegister: ReturnType<typeof createSelfRegistration>
}

/** Refusals whose cause may be gone at the next attempt: they are not counted against the certificate. */
const passing: readonly Reason[] = [
  'registry_unavailable',
  'internal_error',
  'registration_started',
  'registration_limited',
]

export function createRefusedConnections(parts: RefusedConnectionsParts) {
  const { settings, observer, admit, pending, webSockets, selfRegister } = parts
  const repeated = createRepeatedRefusals(settings, () => performance.now())

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
      if (!admit(peer).admitted) return
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
    return (certificate && selfRegister(certificate, address)) ?? reason
  }

  return { refuse }
}
