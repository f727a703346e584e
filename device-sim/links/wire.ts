// What a lightweight link needs of its connection, whatever carries it. Types alone.
import type { X509Certificate } from 'node:crypto'

export type Wire = {
  /** False once it is ended or gone. */
  readonly writable: boolean
  /** Bytes that the kernel has not taken yet. */
  readonly writableLength: number
  write(bytes: Buffer): unknown
  /** After these bytes nothing is written; what the other side still sends is read. */
  end(bytes?: Buffer): unknown
  /** `closed` follows, never within the call. */
  destroy(): unknown
  pause(): unknown
  resume(): unknown
}

/** Functions that all wires share, since there are thousands; `of` is what a wire was opened for. */
export type WireEvents<Of> = {
  /** TCP stands. */
  connected(of: Of): void
  /** MQTT may be spoken. */
  secured(of: Of): void
  /** The bytes are valid until it returns. */
  received(of: Of, bytes: Buffer): void
  failed(of: Of, error: Error): void
  /** Once, last. */
  closed(of: Of): void
}

/** Of a wire over TLS. */
export type TlsState = {
  getPeerX509Certificate(): X509Certificate | undefined
  isSessionReused(): boolean
  /** Anything but null and undefined where the chain of the server is not trusted. */
  authorizationError: unknown
}
