// The only interface between gate and engine: the gate calls a connection handler with an admitted, decrypted stream and its
// identity. The identity is plain data, so the same call can travel to another process through a socket pair.
import type { Duplex } from 'node:stream'
import type { Peer } from '../admission/decide.ts'
import type { AdmissionRecord } from '../db/admission-lookup.ts'
import type { Reason } from '../db/reason.ts'

/** What the handshake proved, and the device for which the registry lists the certificate. */
export type Identity = Peer & { fingerprint: string; deviceId: string }

/** How the peer is connected. Shown to operators; no decision depends on it. */
export type TransportInfo = {
  transport: 'tls' | 'websocket'
  tlsVersion: string
  cipher: string
  resumed: boolean
}

/** A connection that the gate admitted. `stream` begins with the CONNECT packet, whose declared size is within bounds. */
export type AdmittedConnection = {
  stream: Duplex
  identity: Identity
  /** What the gate read of the certificate. The engine asks again, and takes this for the answer while no change followed it. */
  record?: AdmissionRecord | null
  /** The peer's IP address, as text. */
  address: string
  transportInfo?: TransportInfo
  /** The W3C `traceparent` of the admission's span; undefined without tracing. */
  trace?: string | undefined
}

/** What the gate can still do with a connection after the handler was called. */
export type ConnectionHandle = {
  /** Closes the connection at once; the engine acts on no byte read after that. */
  drop(reason: Reason): void
}

export type ConnectionHandler = (connection: AdmittedConnection) => ConnectionHandle
