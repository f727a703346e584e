// Connections that admission lets in: each waits for its CONNECT within its deadline, and goes to the connection handler.
// A right that ends before is a refusal here.
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Peer } from '../../admission/decide.ts'
import type { Reason } from '../../db/reason.ts'
import type { ConnectionHandle, TransportInfo } from '../connection-handler.ts'
import { createFrameReader } from '../mqtt/protocol/packet-frames.ts'
import type { GateAdmission, GateOptions } from './interface.ts'
import { closeInOrder, type createPendingConnections } from './limits/pending-connections.ts'
import { awaitFirstPacket } from './transport/first-packet.ts'
import type { createUnreadPieces } from './transport/unread-pieces.ts'
import type { createWebSockets } from './transport/web-sockets.ts'

type AdmittedConnectionsParts = Pick<GateOptions, 'settings' | 'observer' | 'admit' | 'handleConnection'> & {
  pending: ReturnType<typeof createPendingConnections>
  webSockets: ReturnType<typeof createWebSockets>
  pieces: ReturnType<typeof createUnreadPieces>
}

export function createAdmittedConnections(parts: AdmittedConnectionsParts) {
  const { settings, observer, admit, handleConnection, pending, webSockets, pieces } = parts

  /** Waits for CONNECT, of a WebSocket after its upgrade, and passes the stream to the connection handler. */
  function accept(
    socket: TLSSocket,
    address: string,
    peer: Peer,
    read: (GateAdmission & { admitted: true })['record'],
    trace?: string,
  ): void {
    const { fingerprint, chain } = peer
    const { deviceId } = read
    const record = 'lastChange' in read ? read : null
    if (fingerprint === null) throw new Error('admitted without a certificate')
    const identity = { fingerprint, chain, deviceId }
    const peerInfo = { address, fingerprint, deviceId }
    let stream: Duplex = socket
    let handed: ConnectionHandle | null = null
    let handedOver = false
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
        const now = admit(peer)
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
      if (handedOver) handed?.drop(reason)
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
      handedOver = true
      // With a listener for 'readable', 'data' only reports the bytes that `read()` is about to return: the declared size is
      // checked before the engine reads the packet.
      stream.on('data', (bytes: Buffer) => {
        const reason = frames.read(bytes)
        if (frames.packets() > 0) handle.settle()
        if (reason !== null) end(reason)
      })
      handed = handleConnection({ stream, identity, record, address, transportInfo, trace })
      if (over !== null) handed.drop(over) // a gate worker reads on inside the call
    }

    pieces.watch(socket)
    receive(transportInfoOf(socket))
  }

  return { accept }
}

function transportInfoOf(socket: TLSSocket): TransportInfo {
  const tlsVersion = socket.getProtocol() ?? ''
  return { transport: 'tls', tlsVersion, cipher: socket.getCipher().name, resumed: socket.isSessionReused() }
}
