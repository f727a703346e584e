// What a device asks of a connection, whichever library carries it: one attempt, then a session, each with its end.
// Types, and the choice between the two links. Refuses to know what the device is up to.
import type { Broker } from '../target.ts'
import type { Seen } from './seen.ts'

export type Qos = 0 | 1 | 2

export const linkKinds = ['lean', 'mqttjs'] as const
export type LinkKind = (typeof linkKinds)[number]

/** PEM: the key, its certificate, and the chain above it. */
export type Credentials = { key: string; leaf: string; issuers: string }

const END = '-----END CERTIFICATE-----\n'

export function credentialsOf({ key, certificates }: { key: string; certificates: string }): Credentials {
  const leafEnd = certificates.indexOf(END) + END.length
  return { key, leaf: certificates.slice(0, leafEnd), issuers: certificates.slice(leafEnd) }
}

export type LinkOptions = {
  broker: Broker
  clientId: string
  /** Null to arrive without a certificate. */
  credentials: Credentials | null
  timeoutMs: number
  keepAliveSeconds?: number
  clean?: boolean
  /** The address to connect from. */
  localAddress?: string
  /** A TLS session to resume, and where to leave a newer one. */
  tlsSession?: Buffer | null
  onTlsSession?: (session: Buffer) => void
  /** Milliseconds that the device's clock is ahead of ours: it judges the server's certificate by its own. */
  clockSkewMs?: number
  /** Of a session that is kept: what to finish if the broker still has it. The link writes into it. */
  unfinished?: Unfinished
}

/** What outlives a connection where the session is kept. MQTT 3.1.1 §4.4. */
export type Unfinished = {
  lastId: number
  /** Not acknowledged to the end, in the order of sending; `packet` is null once PUBREC came. */
  outgoing: Map<number, { packet: Buffer | null; onAck: () => void }> | null
  /** Received at QoS 2 and not released yet. */
  unreleased: Set<number> | null
}

export function nothingUnfinished(): Unfinished {
  return { lastId: 0, outgoing: null, unreleased: null }
}

export type Outgoing = { topic: string; payload: string | Buffer; qos: Qos; retain?: boolean }
/** `payload` may be a view: valid until the handler returns. */
export type Incoming = { topic: string; payload: Buffer; qos: Qos; dup: boolean }

/** An MQTT session as a device uses it. Every callback comes at most once, except `onMessage`. */
export type Session = {
  /** The TLS session was resumed. */
  resumed: boolean
  /** The broker kept the MQTT session, and the link goes on with what was unfinished. */
  present: boolean
  /** `onAck` comes with PUBACK or PUBCOMP; at QoS 0 when the message was handed to the socket. */
  publish(message: Outgoing, onAck: () => void): void
  subscribe(filter: string, qos: Qos, onResult: (granted: boolean) => void): void
  onMessage(handle: (message: Incoming) => void): void
  onClose(handle: (cause: string) => void): void
  /** Bytes that the socket has not taken yet. */
  bufferedBytes(): number
  /** DISCONNECT, then close; forced after a second. */
  end(): Promise<void>
  /** Gone without a word: TCP ends and no DISCONNECT was sent. */
  cut(): void
  /** Bytes as they are, for devices that speak no MQTT. */
  writeRaw(bytes: Buffer): void
  /** Takes nothing from the socket any more, so that the broker's buffers fill. */
  stopReading(): void
}

export type Attempt = {
  settled: Promise<{ seen: Seen; session: Session | null }>
  cancel(): void
}

/** Starts one attempt. Never rejects: whatever happens is something seen. */
export type OpenLink = (options: LinkOptions) => Attempt
