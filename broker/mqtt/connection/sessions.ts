// The connections that the engine holds, found by certificate or device when a change arrives.
// Holds no rights and cuts nobody itself.
import { type ProtocolName, protocolNames } from '../../../db/roll/live-sessions.ts'
import { noRights } from '../../../policy/rights.ts'
import type { AdmittedConnection } from '../../connection-handler.ts'
import type { PeerInfo } from '../../observability/logging.ts'
import { ReleasingMap } from '../../releasing-map.ts'
import type { PeerPlace } from '../cluster/control.ts'
import type { Principal } from '../rights-resolver.ts'
import type { Session } from '../state.ts'

export type { AcceptedConnect, Filters, Session } from '../state.ts'

/** An admitted connection that has no rights yet. */
export function newSession({
  identity,
  address,
  transportInfo,
}: Omit<AdmittedConnection, 'stream'>): Session {
  return {
    identity,
    address,
    transportInfo,
    client: null,
    connect: null,
    serialNumber: '',
    issuerId: null,
    since: performance.now(),
    rightEndsAt: 0,
    rights: noRights,
    filters: new Map(),
    firstUse: false,
    protocolLevel: null,
    connected: false,
    ended: null,
    disconnectCode: null,
    receivedCode: null,
    ending: 'connection_lost',
    bytesIn: 0,
    bytesOut: 0,
    noted: { bytesIn: 0, bytesOut: 0 },
  }
}

export function peerInfoOf(session: Session): PeerInfo {
  return {
    address: session.address,
    fingerprint: session.identity.fingerprint,
    deviceId: session.identity.deviceId,
    ...(session.protocolLevel !== null && { protocol: protocolNames[session.protocolLevel] }),
  }
}

/** What other nodes are told of it. */
export function placeOf({ identity, address }: Session): PeerPlace {
  return { fingerprint: identity.fingerprint, address }
}

/** Notes that another connection of its device takes its place. */
export function markReplaced(session: Session): Session {
  session.replaced = true
  session.ending = 'taken_over'
  return session
}

/** The principal whose rights it has. */
export function principalOf({ identity, issuerId, serialNumber }: Session): Principal {
  return { deviceId: identity.deviceId, issuerId, serialNumber }
}

/** Whether the session's right has been taken: its rights are gone and nothing it still sends counts. */
export function isCut(session: Session): boolean {
  return session.ended !== null && session.rights === noRights
}

export type Sessions = {
  add(session: Session): void
  remove(session: Session): void
  /** It was answered CONNACK 0. */
  connect(session: Session): void
  size(): number
  /** Of those that were answered so. */
  connected(): { connected: number; connectedMax: number; byProtocol: Readonly<Record<ProtocolName, number>> }
  all(): Generator<Session>
  ofCertificate(fingerprint: string): Session[]
  ofDevice(deviceId: string): Session[]
}

export function createSessions(): Sessions {
  const byCertificate: Index = new ReleasingMap()
  const byDevice: Index = new ReleasingMap()
  let size = 0
  let connected = 0
  let connectedMax = 0
  const byProtocol: Record<ProtocolName, number> = { '3.1': 0, '3.1.1': 0, '5': 0 }

  return {
    add(session) {
      insert(byCertificate, session.identity.fingerprint, session)
      size += 1
      insert(byDevice, session.identity.deviceId, session)
    },
    remove(session) {
      withdraw(byCertificate, session.identity.fingerprint, session)
      if (!withdraw(byDevice, session.identity.deviceId, session)) return
      size -= 1
      if (!session.connected) return
      connected -= 1
      if (session.protocolLevel !== null) byProtocol[protocolNames[session.protocolLevel]] -= 1
    },
    connect(session) {
      session.connected = true
      connected += 1
      if (session.protocolLevel !== null) byProtocol[protocolNames[session.protocolLevel]] += 1
      connectedMax = Math.max(connectedMax, connected)
    },
    size: () => size,
    connected: () => ({ connected, connectedMax, byProtocol }),
    all: () => allOf(byDevice),
    ofCertificate: fingerprint => found(byCertificate, fingerprint),
    ofDevice: deviceId => found(byDevice, deviceId),
  }
}

/** Almost always there is one, which then needs no set around it. */
type Index = ReleasingMap<string, Session | Set<Session>>

function insert(index: Index, key: string, session: Session): void {
  const before = index.get(key)
  if (before === undefined) index.set(key, session)
  else if (before instanceof Set) before.add(session)
  else index.set(key, new Set([before, session]))
}

/** False where it was not there. */
function withdraw(index: Index, key: string, session: Session): boolean {
  const before = index.get(key)
  if (before === session) return index.delete(key)
  if (!(before instanceof Set)) return false
  const wasThere = before.delete(session)
  if (before.size === 0) index.delete(key)
  return wasThere
}

function* allOf(index: Index): Generator<Session> {
  for (const there of index.values()) {
    if (there instanceof Set) yield* there
    else yield there
  }
}

function found(index: Index, key: string): Session[] {
  const there = index.get(key)
  if (there === undefined) return []
  return there instanceof Set ? [...there] : [there]
}
