// The socket of a simulated device: TCP or TLS with as little memory as Node allows, or a WebSocket over either, and
// whether it reached the right server. Does not know MQTT.
import { createHash } from 'node:crypto'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import type { Transport } from '../target.ts'
import type { Credentials, LinkOptions } from './session.ts'
import type { TlsState } from './wire.ts'

/** What devices offer; Node's default would add a post-quantum key share that hardly one of them knows. */
const CURVES = 'X25519:P-256:P-384'

/** A socket that emits `connect` once TCP stands, and `secureConnect` once MQTT may be spoken, whatever lies between. */
export type DeviceSocket = Duplex & { under?: Socket }

/** The TLS socket that it is, or lies on; null for plain TCP. */
export function tlsOf(wire: DeviceSocket): TLSSocket | null {
  if (wire instanceof TLSSocket) return wire
  return wire.under instanceof TLSSocket ? wire.under : null
}

/**
 * Opens TCP, and TLS or WebSocket over it. The caller must listen for errors; one without a listener would end the process.
 * `onBytes` gets the received bytes instead of the stream, in a buffer that all these sockets share.
 */
export function openSocket(options: LinkOptions, onBytes?: OnBytes): DeviceSocket {
  const { transport } = options.broker
  if (transport === 'ws' || transport === 'wss') return openWebSocket(options, onBytes)
  return openUnder(options, transport === 'tls', onBytes)
}

function openUnder(options: LinkOptions, tls: boolean, onBytes?: OnBytes): Socket {
  const { localAddress, ports } = options
  const localPort = localAddress === undefined ? null : (ports?.take(localAddress) ?? null)
  if (localAddress === undefined || localPort === null) return openFrom(options, tls, {}, onBytes)
  const socket = openFrom(options, tls, { localPort }, onBytes)
  return socket.once('close', () => ports?.free(localAddress, localPort))
}

function openFrom(
  options: LinkOptions,
  tls: boolean,
  from: { localPort?: number },
  onBytes?: OnBytes,
): Socket {
  const { broker, credentials, tlsSession, onTlsSession } = options
  const where = {
    host: broker.host,
    port: broker.port,
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    ...from,
    ...(onBytes && !ON_BUN ? { onread: intoInbox(onBytes) } : {}),
  }
  if (!tls) {
    const socket = connectTcp({ ...where, noDelay: true })
    if (onBytes && ON_BUN) socket.on('data', (bytes: Buffer) => onBytes(socket, bytes))
    if (broker.transport === 'tcp') socket.once('connect', speak)
    return socket
  }
  const servername = broker.servername ?? (isIP(broker.host) ? null : broker.host)
  const socket = connectTls({
    ...where,
    secureContext: contextFor(broker.ca, credentials),
    ...(servername === null ? {} : { servername }),
    ...(broker.verify === 'chain' ? {} : { rejectUnauthorized: false }),
    ...(broker.alpn.length === 0 ? {} : { ALPNProtocols: [...broker.alpn] }),
    ...(tlsSession ? { session: tlsSession } : {}),
  })
  socket.setNoDelay(true)
  if (onBytes && ON_BUN) socket.on('data', (bytes: Buffer) => onBytes(socket, bytes))
  if (credentials && !isIP(broker.host)) {
    // For the next address of a name Node makes the connection anew, with what the shared context holds by then.
    const again = (): void => void contextFor(broker.ca, credentials)
    socket.on('connectionAttemptFailed', again).on('connectionAttemptTimeout', again)
  }
  if (onTlsSession) socket.on('session', onTlsSession)
  return socket
}

/** After the listeners for `connect`. */
function speak(this: Socket): void {
  queueMicrotask(() => this.emit('secureConnect'))
}

let webSockets: typeof import('ws') | null = null

/** To be awaited before the first socket of that kind: what only WebSocket needs is loaded for it alone. */
export async function loadTransport(transport: Transport): Promise<void> {
  if (transport === 'ws' || transport === 'wss') webSockets ??= await import('ws')
}

/** [MQTT-6.0.0-3] Subprotocol `mqtt`. */
function openWebSocket(options: LinkOptions, onBytes?: OnBytes): DeviceSocket {
  if (!webSockets) throw new Error('WebSocket is not loaded')
  const { createWebSocketStream, WebSocket } = webSockets
  const { broker, timeoutMs } = options
  const under = openUnder(options, broker.transport === 'wss')
  const host = isIP(broker.host) === 6 ? `[${broker.host}]` : broker.host
  const socket = new WebSocket(`${broker.transport}://${host}:${broker.port}${broker.path}`, ['mqtt'], {
    createConnection: () => under,
    handshakeTimeout: timeoutMs,
    perMessageDeflate: false,
  })
  const wire: DeviceSocket = Object.assign(createWebSocketStream(socket), { under })
  under.once('connect', () => wire.emit('connect'))
  socket.once('open', () => wire.emit('secureConnect'))
  if (onBytes) wire.on('data', (bytes: Buffer) => onBytes(wire, bytes))
  return wire
}

type OnBytes = (socket: DeviceSocket, bytes: Buffer) => void

/** Its sockets do not say which of them an `onread` is for. */
const ON_BUN = process.versions['bun'] !== undefined

const inbox = Buffer.allocUnsafeSlow(65_536)
const readers = new Map<OnBytes, { buffer: Buffer; callback: (count: number) => boolean }>()

/** One function for all sockets that are read the same way: Node calls it on the socket. */
function intoInbox(onBytes: OnBytes) {
  const known = readers.get(onBytes)
  if (known) return known
  const made = {
    buffer: inbox,
    callback(this: unknown, count: number): boolean {
      onBytes(this as Socket, inbox.subarray(0, count))
      return true
    },
  }
  readers.set(onBytes, made)
  return made
}

/**
 * The problem of the server's certificate beside its chain: not the pinned one, or its validity, by the device's
 * own clock. Null where nothing is, or there is none.
 */
export function serverCertificateProblem(
  tls: TlsState | null,
  { broker, clockSkewMs = 0 }: LinkOptions,
): string | null {
  const { verify } = broker
  if (typeof verify === 'string' && clockSkewMs === 0) return null
  const server = tls?.getPeerX509Certificate()
  if (typeof verify !== 'string') {
    const seen = server?.fingerprint256.replaceAll(':', '').toLowerCase()
    return seen === verify.pinned ? null : 'CERT_NOT_PINNED'
  }
  if (!server || verify === 'none') return null
  const now = Date.now() + clockSkewMs
  const { validFromDate, validToDate } = server
  // An invalid date compares as false, so the device goes on only where the comparison is true.
  if (!(now >= validFromDate.getTime())) return 'CERT_NOT_YET_VALID'
  return now <= validToDate.getTime() ? null : 'CERT_HAS_EXPIRED'
}

/** Whether the device goes by the chain of the server, and it is not to be trusted. */
export function distrusts(tls: TlsState | null, { broker }: LinkOptions): boolean {
  return broker.verify === 'chain' && Boolean(tls?.authorizationError)
}

/** What Node builds a context with; not documented, so its presence is asked for. */
type Native = { setCert?(pem: string): void; setKey?(pem: string): void }

const shared = new Map<string, SecureContext>()
/** Whose key and leaf each of them was given last. */
const latest = new WeakMap<SecureContext, Credentials>()
const SHARED_MAX = 64

/**
 * A context of its own costs each device 40 KiB. OpenSSL copies key and leaf into the connection when it is made, so
 * devices whose chain above the leaf is the same share one context that is given their key and leaf beforehand.
 */
function contextFor(ca: string | null, credentials: Credentials | null): SecureContext {
  const trust = { ecdhCurve: CURVES, ...(ca === null ? {} : { ca }) }
  if (!credentials) return remembered(`${ca}`, () => createSecureContext(trust))
  const { keyType, key, leaf, issuers } = credentials
  const own = (): SecureContext => createSecureContext({ ...trust, key, cert: leaf + issuers })
  // OpenSSL keeps a certificate for each type of key, and would choose among them: a context must not see two types.
  const trusted = createHash('sha256').update(`${ca}\n${issuers}`).digest('base64')
  const context = remembered(`${trusted}${keyType}`, () => {
    const made = own()
    latest.set(made, credentials)
    return made
  })
  // Where all devices have the same, one parsed copy serves them: 6 KiB less for each.
  const given = latest.get(context)
  if (given?.leaf === leaf && given.key === key) return context
  const native = context.context as Native
  if (!native?.setCert || !native.setKey) return own()
  native.setCert(leaf)
  native.setKey(key)
  latest.set(context, credentials)
  return context
}

function remembered(name: string, make: () => SecureContext): SecureContext {
  const known = shared.get(name)
  if (known) return known
  const made = make()
  if (shared.size < SHARED_MAX) shared.set(name, made)
  return made
}
