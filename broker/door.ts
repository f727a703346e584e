// The one door between gate and engine: an admitted, decrypted stream with its identity.
// The identity is plain data, so that the same door can lead through a Unix socket.
import type { Duplex } from 'node:stream'
import type { Peer } from '../admission/decide.ts'
import type { Reason } from '../db/reason.ts'

/** Whom the gate admitted: what the handshake proved, and the device the registry lists it for. */
export type Identity = Peer & { fingerprint: string; deviceId: string }

/** How the peer is connected: shown to operators, decided upon never. */
export type Link = {
  transport: 'tls' | 'websocket'
  tlsVersion: string
  cipher: string
  resumed: boolean
}

/** A connection the gate has admitted. `stream` begins with the CONNECT packet, whose declared size is within bounds. */
export type AdmittedConnection = {
  stream: Duplex
  identity: Identity
  /** The peer's IP address, as text. */
  address: string
  link?: Link
  /** What the trace of its admission is continued by, where one is taken. */
  trace?: string | undefined
}

/** What the gate may still ask for a connection it handed over. */
export type HandedOver = {
  /** Ends it at once; no byte read from it afterwards is acted on. */
  drop(reason: Reason): void
}

export type Door = (connection: AdmittedConnection) => HandedOver
