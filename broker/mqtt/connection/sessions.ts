// The connections that the engine holds, found by certificate or device when a change arrives.
// Holds no rights and cuts nobody itself.
import type { Ending } from '../../../db/roll/last-seen.ts'
import { type ProtocolName, protocolNames } from '../../../db/roll/live-sessions.ts'
import { noRights } from '../../../policy/rights.ts'
import type { AdmittedConnection, Identity, TransportInfo } from '../../connection-handler.ts'
import type { PeerInfo } from '../../observability/logging.ts'
import type { PeerPlace } from '../cluster/control.ts'
import type { Version } from '../protocol/packets.ts'
import type { DeviceRights, Principal } from '../rights-resolver.ts'

/** By their names, whatever they were granted. */
export type Filters = { keys(): Iterable<string> }

/** `at` in ms since the epoch, of CONNACK 0. */
export type AcceptedConnect = {
  clientId: string
  at: number
  protocolLevel: number
  keepAliveSeconds: number
  clean: boolean
  /** What it said its username is, cut to 128 characters; shown to operators, decided upon never. Absent where it said none. */
  username?: string
}

/** One admitted connection, from the gate to its end. Times in ms since the epoch. */
export type Session = {
  identity: Identity
  address: string
  transportInfo: TransportInfo | undefined
  /** What its CONNECT said; null until it was accepted. */
  connect: AcceptedConnect | null
  serialNumber: string
  issuerId: string | null
  /** When the gate handed it over, by `performance.now()`. */
  since: number
  /** When its right ends by itself. */
  rightEndsAt: number
  rights: DeviceRights
  /** What it is subscribed to. */
  filters: Filters & { readonly size: number }
  /** Whether its first CONNECT will make the certificate or the device active. */
  firstUse: boolean
  /** Level of the MQTT that its CONNECT speaks; null before. */
  protocolLevel: Version | null
  /** True from CONNACK 0 on. */
  connected: boolean
  /** Another connection of its device takes its place. */
  replaced?: true
  /** Why it was or is being ended; null while it lives. */
  ended: string | null
  /** Reason Code of the DISCONNECT that it was sent; null for none. */
  disconnectCode: number | null
  /** Reason Code of the DISCONNECT that came from it; null for none. */
  receivedCode: number | null
  /** How it ended where `ended` does not say. */
  ending: Ending
  /** Bytes of its packets, and how many of them are on record. */
  bytesIn: number
  bytesOut: number
  noted: { bytesIn: number; bytesOut: number }
}

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
  all(): Iterable<Session>
  ofCertificate(fingerprint: string): Session[]
  ofDevice(deviceId: string): Session[]
}

export function createSessions(): Sessions {
  const all = new Set<Session>()
  const byCertificate: Index = new Map()
  const byDevice: Index = new Map()
  let connected = 0
  let connectedMax = 0
  const byProtocol: Record<ProtocolName, number> = { '3.1': 0, '3.1.1': 0, '5': 0 }

  return {
    add(session) {
      all.add(session)
      insert(byCertificate, session.identity.fingerprint, session)
      insert(byDevice, session.identity.deviceId, session)
    },
    remove(session) {
      if (all.delete(session) && session.connected) {
        connected -= 1
        if (session.protocolLevel !== null) byProtocol[protocolNames[session.protocolLevel]] -= 1
      }
      withdraw(byCertificate, session.identity.fingerprint, session)
      withdraw(byDevice, session.identity.deviceId, session)
    },
    connect(session) {
      session.connected = true
      connected += 1
      if (session.protocolLevel !== null) byProtocol[protocolNames[session.protocolLevel]] += 1
      connectedMax = Math.max(connectedMax, connected)
    },
    size: () => all.size,
    connected: () => ({ connected, connectedMax, byProtocol }),
    all: () => all,
    ofCertificate: fingerprint => found(byCertificate, fingerprint),
    ofDevice: deviceId => found(byDevice, deviceId),
  }
}

/** Almost always there is one, which then needs no set around it. */
type Index = Map<string, Session | Set<Session>>

function insert(index: Index, key: string, session: Session): void {
  const before = index.get(key)
  if (before === undefined) index.set(key, session)
  else if (before instanceof Set) before.add(session)
  else index.set(key, new Set([before, session]))
}

function withdraw(index: Index, key: string, session: Session): void {
  const before = index.get(key)
  if (before instanceof Set) before.delete(session)
  if (before === session || (before instanceof Set && before.size === 0)) index.delete(key)
}

function found(index: Index, key: string): Session[] {
  const there = index.get(key)
  if (there === undefined) return []
  return there instanceof Set ? [...there] : [there]
}
