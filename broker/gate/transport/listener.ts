// The TCP listener and its TLS handshakes, with limits and deadlines. Ends where the handshake proved a certificate; whether
// the certificate is admitted is decided elsewhere.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from 'node:tls'
import { onBun } from '../../../admin/runtime.ts'
import type { Reason } from '../../../db/reason.ts'
import { ReleasingMap } from '../../releasing-map.ts'
import type { HandshakeOutcome, Limits } from '../limits/connection-limits.ts'
import { connectionsThatFit } from '../limits/descriptor-limit.ts'
import { createThrottle } from '../limits/throttle.ts'
import { awaitProxyHeader } from './proxy-header.ts'

type Listener = {
  port: number
  /** New handshakes use this context; live connections keep theirs. Throws where the context does not hold. */
  reload(context: SecureContextOptions): void
  /** No TLS session from before is resumed. On Bun, which takes no ticket keys from outside, the listener makes its own. */
  useTicketKeys(ticketKeys: Buffer): void
  /** Stops accepting and ends handshakes; resolves when the last connection is gone. */
  stop(): Promise<void>
}

type ListenerOptions = {
  host: string
  port: number
  /** One more port, the same in all things; 0 for none. */
  secondPort: number
  /** Whether a peer is a load balancer whose connections begin with a PROXY header. */
  proxyFrom: (address: string) => boolean
  /** Whether other processes listen on the same port: the kernel then deals connections out among them. */
  shared: boolean
  context: SecureContextOptions
  handshakeTimeoutMs: number
  limits: Limits
  /** Gives whether the peer showed a certificate on the roll. */
  onSecure(socket: TLSSocket, address: string, handshakeMs: number): HandshakeOutcome
  onRefused(reason: Reason, address: string, detail?: string): void
}

type Handshake = {
  raw: Socket
  address: string
  startedAt: number
  inFlight: boolean
  end(outcome: HandshakeOutcome): void
}

/** For ports that carry more than MQTT, such as 443: plain, as AWS IoT names it, and of a WebSocket. */
const APPLICATION_PROTOCOLS = ['mqtt', 'x-amzn-mqtt-ca', 'http/1.1']

/** Some 4 ms of cryptography: the longest wait of a live session, however many devices connect at once. */
const HANDSHAKES_PER_TURN = 4

const PLAIN_TEXT_ERRORS = [
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG', // BoringSSL's name of the same
]

/** Listens, or rejects with the error of `listen` (EADDRINUSE, EACCES …). Port 0 picks a free one. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { limits } = options
  // A TCP connection is known by the peer's address and port while it lasts.
  const handshakes = new ReleasingMap<string, Handshake>()
  /** Accepted, and not yet begun. */
  const waiting = new Set<Socket>()
  const throttle = createThrottle(HANDSHAKES_PER_TURN)

  let context = options.context
  const tls = createTlsServer({
    ...context,
    requestCert: true,
    ALPNProtocols: APPLICATION_PROTOCOLS,
    // The gate decides: Node would destroy the socket without a reason.
    rejectUnauthorized: false,
    handshakeTimeout: options.handshakeTimeoutMs,
  })

  tls.on('secureConnection', socket => {
    const handshake = handshakes.get(endpoint(socket))
    if (handshake === undefined) {
      socket.destroy() // reset while the handshake ended: the peer is gone
      return
    }
    handshake.end(options.onSecure(socket, handshake.address, performance.now() - handshake.startedAt))
    socket.on('close', removeListeners)
  })

  tls.on('tlsClientError', (error: Error & { code?: string }, socket) => {
    const handshake = handshakes.get(endpoint(socket))
    socket.destroy()
    if (handshake === undefined) return // a reset: the close of the TCP socket reports it
    handshake.end('stranger')
    options.onRefused(reasonForHandshakeError(error), handshake.address, error.code ?? error.message)
    handshake.raw.destroy()
  })

  const servers: Server[] = []
  const openMax = connectionsThatFit()
  let open = 0

  function accept(raw: Socket): void {
    const address = plainAddress(raw)
    raw.on('error', ignore)
    open += 1
    raw.once('close', () => {
      open -= 1
    })
    if (open > openMax) {
      options.onRefused('connections_exceeded', address, 'no file descriptor is left for it')
      raw.resetAndDestroy()
      return
    }
    waiting.add(raw)
    if (options.proxyFrom(address)) acceptFromBalancer(raw, address)
    else admit(raw, address, options.handshakeTimeoutMs)
  }

  /** Header and handshake share one deadline. */
  function acceptFromBalancer(raw: Socket, balancer: string): void {
    const end = performance.now() + options.handshakeTimeoutMs
    awaitProxyHeader(raw, options.handshakeTimeoutMs, named => {
      if (named !== undefined) return admit(raw, named ?? balancer, end - performance.now())
      waiting.delete(raw)
      options.onRefused('proxy_header_invalid', balancer)
      raw.resetAndDestroy()
    })
  }

  /** The peer's deadline does not run while its handshake waits for others. */
  function admit(raw: Socket, address: string, leftMs: number): void {
    limits.begin(address, refusal => {
      if (refusal === null) return throttle(() => startHandshake(raw, address, leftMs))
      waiting.delete(raw)
      options.onRefused(refusal, address)
      raw.resetAndDestroy()
    })
  }

  function startHandshake(raw: Socket, address: string, leftMs: number): void {
    waiting.delete(raw)
    const key = endpoint(raw)
    // Absolute: Node's own counts from here on, and a balancer's header has taken some of it.
    const deadline = setTimeout(() => {
      handshake.end('stranger')
      options.onRefused('handshake_timeout', address)
      raw.destroy()
    }, leftMs)
    const handshake: Handshake = {
      raw,
      address,
      startedAt: performance.now(),
      inFlight: true,
      end(outcome) {
        if (!handshake.inFlight) return
        handshake.inFlight = false
        clearTimeout(deadline)
        // Peers that reset before they were accepted have no address and share a key.
        if (handshakes.get(key) === handshake) handshakes.delete(key)
        limits.handshakeEnded(address, outcome)
      },
    }
    handshakes.set(key, handshake)
    const gone = () => {
      if (handshake.inFlight) {
        handshake.end(raw.bytesRead === 0 ? 'gone' : 'stranger')
        options.onRefused('handshake_failed', address, 'the peer closed before the handshake ended')
      }
      limits.connectionEnded()
    }
    if (raw.closed) {
      gone() // closed before the limits answered
      return
    }
    raw.once('close', gone)
    tls.emit('connection', raw)
  }

  function listenOn(port: number): Promise<Server> {
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, accept)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: options.host, port, backlog: 4_096, reusePort: options.shared }, () => {
        server.off('error', reject)
        // Descriptors may run out while accepting: refuse that one, keep listening.
        server.on('error', ignore)
        servers.push(server)
        resolve(server)
      })
    })
  }

  function stop(): Promise<void> {
    const gone = Promise.all(servers.map(closed))
    for (const handshake of [...handshakes.values()]) {
      handshake.end('gone') // the peer did nothing wrong
      handshake.raw.destroy()
    }
    for (const raw of waiting) raw.destroy()
    return gone.then(() => {})
  }

  const server = await listenOn(options.port)
  if (options.secondPort !== 0) {
    await listenOn(options.secondPort).catch(async error => {
      await stop()
      throw error
    })
  }

  return {
    port: (server.address() as AddressInfo).port,
    reload(next) {
      tls.setSecureContext(next)
      context = next
    },
    useTicketKeys(ticketKeys) {
      // A context of BoringSSL has ticket keys of its own, made with it.
      if (onBun) tls.setSecureContext(context)
      else tls.setTicketKeys(ticketKeys)
    },
    stop,
  }
}

function closed(server: Server): Promise<void> {
  return new Promise(resolve => server.close(() => resolve()))
}

function reasonForHandshakeError(error: Error & { code?: string }): Reason {
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'handshake_timeout'
  return PLAIN_TEXT_ERRORS.includes(error.code ?? '') ? 'not_tls' : 'handshake_failed'
}

function endpoint(socket: Socket): string {
  return `${socket.remoteAddress}#${socket.remotePort}`
}

/** IPv4 in its own notation, also where a dual-stack listener reports it mapped. */
function plainAddress(socket: Socket): string {
  return socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/, '') ?? 'unknown'
}

/**
 * What listened to a connection is not kept by it any longer than it lasts: V8 finds that a native handle is unused, and so all that it leads
 * to, only in a full collection.
 */
function removeListeners(this: TLSSocket): void {
  this.removeAllListeners()
  this.on('error', ignore)
}

function ignore(): void {}
