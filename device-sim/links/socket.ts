// The TLS socket of a simulated device, with as little memory as Node allows, and what its end tells.
// Refuses to know MQTT.
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { Credentials, LinkOptions } from './session.ts'

/** What devices offer; Node's default would add a post-quantum key share that hardly one of them knows. */
const CURVES = 'X25519:P-256:P-384'

/**
 * Opens TCP and TLS. The caller listens for everything; an error without a listener would end the process.
 * `onBytes` gets what is read instead of the stream, in a buffer that all such sockets share.
 */
export function openSocket(options: LinkOptions, onBytes?: OnBytes): TLSSocket {
  const { broker, credentials, tlsSession, onTlsSession } = options
  const socket = connect({
    host: broker.host,
    port: broker.port,
    secureContext: contextFor(broker.ca, credentials),
    ...(isIP(broker.host) ? {} : { servername: broker.host }),
    ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    ...(tlsSession ? { session: tlsSession } : {}),
    ...(onBytes ? { onread: intoInbox(onBytes) } : {}),
  })
  socket.setNoDelay(true)
  if (onTlsSession) socket.on('session', onTlsSession)
  return socket
}

type OnBytes = (socket: TLSSocket, bytes: Buffer) => void

const inbox = Buffer.allocUnsafeSlow(65_536)
const readers = new Map<OnBytes, { buffer: Buffer; callback: (count: number) => boolean }>()

/** One function for all sockets that are read the same way: Node calls it on the socket. */
function intoInbox(onBytes: OnBytes) {
  const known = readers.get(onBytes)
  if (known) return known
  const made = {
    buffer: inbox,
    callback(this: unknown, count: number): boolean {
      onBytes(this as TLSSocket, inbox.subarray(0, count))
      return true
    },
  }
  readers.set(onBytes, made)
  return made
}

/**
 * The server's certificate by the device's own clock.
 * @returns what is wrong with it, or null.
 */
export function serverFaultAt(socket: TLSSocket, clockSkewMs: number): string | null {
  const server = socket.getPeerX509Certificate()
  if (!server) return null
  const now = Date.now() + clockSkewMs
  const { validFromDate, validToDate } = server
  // What is no date is neither before nor after anything: only what holds lets the device go on.
  if (!(now >= validFromDate.getTime())) return 'CERT_NOT_YET_VALID'
  return now <= validToDate.getTime() ? null : 'CERT_HAS_EXPIRED'
}

/** What Node builds a context with; not documented, so its presence is asked for. */
type Native = { setCert?(pem: string): void; setKey?(pem: string): void }

const shared = new Map<string, SecureContext>()
const SHARED_MAX = 64

/**
 * A context of its own costs each device 40 KiB. OpenSSL copies key and leaf into the connection when it is made, so
 * devices whose chain above the leaf is the same share one context that is given their key and leaf beforehand.
 */
function contextFor(ca: string | null, credentials: Credentials | null): SecureContext {
  const trust = { ecdhCurve: CURVES, ...(ca === null ? {} : { ca }) }
  if (!credentials) return remembered(`${ca}`, () => createSecureContext(trust))
  const { key, leaf, issuers } = credentials
  const own = (): SecureContext => createSecureContext({ ...trust, key, cert: leaf + issuers })
  // OpenSSL keeps a certificate for each kind of key: a context must not see two kinds. A key's length tells them apart.
  const kind = createHash('sha256').update(`${ca}\n${issuers}`).digest('base64')
  const context = remembered(`${kind}${Math.round(key.length / 32)}`, own)
  const native = context.context as Native
  if (!native?.setCert || !native.setKey) return own()
  native.setCert(leaf)
  native.setKey(key)
  return context
}

function remembered(name: string, make: () => SecureContext): SecureContext {
  const known = shared.get(name)
  if (known) return known
  const made = make()
  if (shared.size < SHARED_MAX) shared.set(name, made)
  return made
}
