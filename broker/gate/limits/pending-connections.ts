// Connections between the end of the TLS handshake and the end of CONNECT, a WebSocket upgrade included. Each has one absolute
// deadline that no byte of the peer moves, and each is found by a change of the registry and by a stop. Of one certificate there
// are a few at most.
import type { Duplex } from 'node:stream'
import type { Peer } from '../../../admission/decide.ts'
import type { Change } from '../../../db/change-feed.ts'
import { ReleasingMap } from '../../releasing-map.ts'

type PendingConnection = {
  peer: Peer
  /** The device for which the registry lists the certificate; null for none. */
  deviceId: string | null
  /** CONNECT is not whole when its time has passed. */
  onTimeout(): void
  /** Too many connections of its certificate came after it. */
  onSuperseded(): void
  /** The registry changed in what may concern it. */
  onChange(): void
  /** The gate stops. */
  onStop(): void
}

/** `id` is its own among all. */
type Held = { id: number; connection: PendingConnection }

type PendingHandle = {
  /** The engine cuts or stops the connection from now on; the deadline still runs. */
  handOver(): void
  /** CONNECT is whole. */
  settle(): void
}

type PendingConnections = {
  /**
   * Holds a connection until it settles or `socket` closes; its deadline is that of CONNECT where none is given. The oldest of
   * its certificate makes room where there are too many.
   */
  add(socket: Duplex, connection: PendingConnection, timeoutMs?: number): PendingHandle
  /** Informs the connections that a change of the registry may concern. */
  changed(change: Pick<Change, 'kind' | 'deviceId' | 'fingerprint'>): void
  stop(): void
  size(): number
}

/** Connections looked at in one turn of the event loop: some 4 ms of look-ups. */
const CHANGED_PER_TURN = 256

/** `connectTimeoutMs` counts from the end of the handshake; `certificateMax` is for one certificate. */
export function createPendingConnections(
  connectTimeoutMs: number,
  certificateMax: number,
): PendingConnections {
  const pending = new ReleasingMap<number, Held>()
  /** Those without a whole CONNECT, handed over or not, the oldest first. */
  const byFingerprint = new ReleasingMap<string, Set<Held>>()
  let lastId = 0

  function count(fingerprint: string, held: Held): void {
    const [oldest] = byFingerprint.get(fingerprint) ?? []
    if (oldest !== undefined && byFingerprint.get(fingerprint)!.size >= certificateMax) {
      pending.delete(oldest.id)
      discount(fingerprint, oldest)
      oldest.connection.onSuperseded()
    }
    const connections = byFingerprint.get(fingerprint) ?? new Set()
    byFingerprint.set(fingerprint, connections.add(held))
  }

  function discount(fingerprint: string, held: Held): void {
    const connections = byFingerprint.get(fingerprint)
    if (connections?.delete(held) && connections.size === 0) byFingerprint.delete(fingerprint)
  }

  function tell(concerned: Held[]): void {
    for (const { id, connection } of concerned.slice(0, CHANGED_PER_TURN))
      if (pending.get(id) !== undefined) connection.onChange()
    if (concerned.length > CHANGED_PER_TURN) setImmediate(tell, concerned.slice(CHANGED_PER_TURN))
  }

  return {
    add(socket, connection, timeoutMs = connectTimeoutMs) {
      const { fingerprint } = connection.peer
      lastId += 1
      const held = { id: lastId, connection }
      if (fingerprint !== null) count(fingerprint, held)
      pending.set(held.id, held)
      const deadline = setTimeout(() => {
        pending.delete(held.id)
        connection.onTimeout()
      }, timeoutMs)
      let settled = false
      const settle = () => {
        if (settled) return
        settled = true
        clearTimeout(deadline)
        pending.delete(held.id)
        if (fingerprint !== null) discount(fingerprint, held)
      }
      socket.on('close', settle)
      return { handOver: () => void pending.delete(held.id), settle }
    },
    changed(change) {
      if (pending.size === 0 || !endsRights(change.kind)) return
      tell([...pending.values()].filter(({ connection }) => concerns(change, connection)))
    },
    stop() {
      for (const { connection } of [...pending.values()]) connection.onStop()
    },
    size: () => pending.size,
  }
}

/** What is left are changes of policies, and sessions that an operator ended. */
function endsRights(kind: Change['kind']): boolean {
  return kind === 'certificate' || kind === 'device' || kind === 'issuer'
}

function concerns(
  { kind, deviceId, fingerprint }: Pick<Change, 'kind' | 'deviceId' | 'fingerprint'>,
  { peer, deviceId: listedFor }: PendingConnection,
): boolean {
  if (kind === 'issuer') return true
  if (fingerprint !== null && fingerprint === peer.fingerprint) return true
  return deviceId !== null && deviceId === listedFor
}

/** How long a peer may take to close its side before the socket is destroyed. */
const LINGER_MS = 1_000

/** Ends a connection in order, with close_notify (RFC 8446 §6.1), and for good where the peer does not follow. */
export function closeInOrder(socket: Duplex): void {
  socket.on('error', () => {})
  socket.end()
  // A listener for 'readable' would stop the socket from flowing and hide its end.
  socket.removeAllListeners('readable')
  socket.resume()
  const deadline = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.on('close', () => clearTimeout(deadline))
}
