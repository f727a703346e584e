// What a device asks of a connection, whichever library carries it: one attempt, then a session, each with its end.
// Types, and the choice between the two links. Does not know what the device does.
import { X509Certificate } from 'node:crypto'
import type { Broker } from '../target.ts'
import type { ConnectResult } from './connect-result.ts'
import type { MessageProperties } from './properties.ts'
import type { SourcePorts } from './source-ports.ts'

export type Qos = 0 | 1 | 2

/** Protocol levels: MQTT 3.1, 3.1.1 and 5. */
export type Protocol = 3 | 4 | 5

export const linkKinds = ['lean', 'mqttjs'] as const
export type LinkKind = (typeof linkKinds)[number]

/** PEM: the key, its certificate, and the chain above it. `keyType` as Node names it: `ec`, `rsa`, `ml-dsa-65` … */
export type Credentials = { keyType: string; key: string; leaf: string; issuers: string }

const END = '-----END CERTIFICATE-----\n'

export function credentialsOf({ key, certificates }: { key: string; certificates: string }): Credentials {
  const leafEnd = certificates.indexOf(END) + END.length
  const leaf = certificates.slice(0, leafEnd)
  const keyType = `${new X509Certificate(leaf).publicKey.asymmetricKeyType}`
  return { keyType, key, leaf, issuers: certificates.slice(leafEnd) }
}

export type LinkOptions = {
  broker: Broker
  clientId: string
  username?: string | null
  password?: string | null
  /** Null to arrive without a certificate. */
  credentials: Credentials | null
  timeoutMs: number
  keepAliveSeconds?: number
  /** 4 where nothing is said. */
  protocol?: Protocol
  clean?: boolean
  /** Version 5: how long the session outlives the connection (Session Expiry Interval); 0xFFFFFFFF for ever. */
  sessionExpirySeconds?: number
  /** Version 5: how many topic aliases the device takes, and uses where the broker takes some. */
  topicAliasMax?: number
  /** The address to connect from. */
  localAddress?: string
  /** Its ports, where this side gives them. */
  ports?: SourcePorts
  /** A TLS session to resume, and where to leave a newer one. */
  tlsSession?: Buffer | null
  onTlsSession?: (session: Buffer) => void
  /** A part of the attempt is over. */
  onPart?: (part: 'tcp' | 'tls') => void
  will?: Will
  /** Milliseconds that the device's clock is ahead of ours: it checks the server's certificate by its own. */
  clockSkewMs?: number
  /** Of a session that is kept: what to finish if the broker still has it. The link writes into it. */
  unfinished?: Unfinished
}

/** What the broker publishes if the device vanishes. MQTT 3.1.1 §3.1.2.5. */
export type Will = { topic: string; payload: Buffer; qos: Qos; retain: boolean }

/** What outlives a connection where the session is kept. MQTT 3.1.1 §4.4. */
export type Unfinished = {
  lastId: number
  /** Not acknowledged to the end, in the order of sending; `packet` is null once PUBREC came. */
  outgoing: Map<number, Unacknowledged> | null
  /** Received at QoS 2 and not released yet. */
  unreleased: Set<number> | null
}

type Unacknowledged = {
  packet: Buffer | null
  onAck: OnAck
  /** The Reason Code of PUBREC. */
  code: number
}

/** `code`: the Reason Code of PUBACK or PUBREC in version 5, else 0. From 0x80 the broker refused the message. */
type OnAck = (code: number) => void

export function nothingUnfinished(): Unfinished {
  return { lastId: 0, outgoing: null, unreleased: null }
}

export type Outgoing = {
  topic: string
  payload: string | Buffer
  qos: Qos
  retain?: boolean
  /** Version 5 alone. */
  properties?: MessageProperties | null
}
/** `payload` may be a view: valid until the handler returns. `properties` are null below version 5. */
export type Incoming = {
  topic: string
  payload: Buffer
  qos: Qos
  dup: boolean
  properties: MessageProperties | null
}

/** The options are those of version 5. MQTT 5 §3.8.3.1. */
export type Subscription = {
  filter: string
  qos: Qos
  noLocal?: boolean
  retainAsPublished?: boolean
  retainHandling?: 0 | 1 | 2
}

/** What the broker said in CONNACK that it bears; links that do as a library does may not heed it. */
export type Limits = { inFlightMax: number; packetBytesMax: number; qosMax: Qos; retain: boolean }

export const noLimits: Limits = {
  inFlightMax: 65_535,
  packetBytesMax: Number.POSITIVE_INFINITY,
  qosMax: 2,
  retain: true,
}

/** An MQTT session as a device uses it. Every callback comes at most once, except `onMessage`. */
export type Session = {
  /** The TLS session was resumed. */
  resumed: boolean
  /** The broker kept the MQTT session, and the link goes on with what was unfinished. */
  present: boolean
  limits: Limits
  /** False where the library does not keep the order of user properties. */
  keepsOrder: boolean
  /** `onAck` comes with PUBACK, PUBCOMP or a PUBREC that refuses; at QoS 0 when the message was handed to the socket. */
  publish(message: Outgoing, onAck: OnAck): void
  /** `code`: the granted QoS, or from 0x80 on why not. */
  subscribe(subscription: Subscription, onResult: (code: number) => void): void
  /** `cause` is `disconnect_0xNN` where the broker said why. */
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
  settled: Promise<{ result: ConnectResult; session: Session | null }>
  cancel(): void
}
