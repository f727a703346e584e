// A device's connection by Bun's own sockets, TCP or TLS: less CPU for a message and less memory than by its `node:net`.
// Does not know MQTT, and no way that these sockets do not go: see `isForBun`.
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { LinkOptions } from './session.ts'
import type { TlsState, Wire, WireEvents } from './wire.ts'

/** Of `Bun.connect` what is used here (https://bun.com/docs/runtime/networking/tcp). */
type BunSocket = {
  data: BunWire<never>
  /** How many bytes were taken; -1 where it is closed. */
  write(bytes: Uint8Array): number
  /** Sends what TLS has to say at its end, then FIN; what comes is still read. */
  shutdown(): void
  close(): void
  pause(): void
  resume(): void
  setNoDelay(on: boolean): boolean
  getPeerX509Certificate(): X509Certificate | undefined
  isSessionReused(): boolean
}
type Handlers = {
  open(socket: BunSocket): void
  handshake?(socket: BunSocket, success: boolean, error: Error | null): void
  data(socket: BunSocket, bytes: Buffer): void
  drain(socket: BunSocket): void
  error(socket: BunSocket, error: Error): void
  close(socket: BunSocket, error?: Error): void
  connectError(socket: BunSocket, error: Error): void
}
type Connect = (options: {
  hostname: string
  port: number
  data: BunWire<never>
  socket: Handlers
  tls?: object
}) => Promise<BunSocket>

const connect = (globalThis as { Bun?: { connect: Connect } }).Bun?.connect ?? null

/** Whether an attempt was given up before TCP stood: Bun keeps such a socket until the kernel gives up, too. */
let slowToAnswer = false

/**
 * WebSockets, source addresses and TLS sessions to resume go by `node:net`, as Bun has it; and all once an attempt had to be given up
 * before TCP stood, since `Bun.connect` cannot be taken back.
 */
export function isForBun({ broker, localAddress, onTlsSession }: LinkOptions): boolean {
  const { transport } = broker
  const plain = transport === 'tcp' || transport === 'tls'
  return connect !== null && plain && localAddress === undefined && !onTlsSession && !slowToAnswer
}

export class BunWire<Of> implements Wire, TlsState {
  #of: Of
  #events: WireEvents<Of>
  #socket: BunSocket | null = null
  /** What the kernel has not taken. */
  #waiting: Buffer[] | null = null
  #waitingBytes = 0
  #state: 'open' | 'ended' | 'destroyed' | 'over' = 'open'
  #chainMatters: boolean
  #overTls = false
  #secured = false
  authorizationError: Error | null = null

  constructor(options: LinkOptions, of: Of, events: WireEvents<Of>) {
    const { broker, credentials } = options
    this.#of = of
    this.#events = events
    this.#chainMatters = broker.verify === 'chain'
    const tls = {
      // An empty name: none in SNI, and the certificate must name the address.
      serverName: broker.servername ?? (isIP(broker.host) ? '' : broker.host),
      rejectUnauthorized: this.#chainMatters,
      ...(broker.ca === null ? {} : { ca: broker.ca }),
      ...(credentials ? { key: credentials.key, cert: credentials.leaf + credentials.issuers } : {}),
      ...(broker.alpn.length === 0 ? {} : { ALPNProtocols: alpnBytes(broker.alpn) }),
    }
    const where = { hostname: broker.host, port: broker.port, data: this as unknown as BunWire<never> }
    // Its errors come to `connectError`.
    connect?.(
      broker.transport === 'tls' ? { ...where, socket: tlsHandlers, tls } : { ...where, socket: handlers },
    ).catch(() => {})
  }

  get writable(): boolean {
    return this.#state === 'open'
  }

  get writableLength(): number {
    return this.#waitingBytes
  }

  /** Null until TLS stands, or where there is none. */
  get tls(): TlsState | null {
    return this.#overTls ? this : null
  }

  getPeerX509Certificate(): X509Certificate | undefined {
    return this.#socket?.getPeerX509Certificate()
  }

  isSessionReused(): boolean {
    return this.#socket?.isSessionReused() ?? false
  }

  write(bytes: Buffer): void {
    if (this.#state !== 'open' || !this.#socket) return
    if (this.#waiting) {
      this.#wait(bytes)
      return
    }
    const taken = this.#socket.write(bytes)
    // Closed where it is negative, and `closed` follows.
    if (taken >= 0 && taken < bytes.length) this.#wait(bytes.subarray(taken))
  }

  end(bytes?: Buffer): void {
    if (bytes) this.write(bytes)
    if (this.#state !== 'open') return
    this.#state = 'ended'
    if (!this.#waiting) this.#socket?.shutdown()
  }

  destroy(): void {
    if (this.#state === 'destroyed' || this.#state === 'over') return
    this.#state = 'destroyed'
    this.#forget()
    if (this.#socket) {
      this.#socket.close()
      return
    }
    slowToAnswer = true
    this.#over()
  }

  pause(): void {
    this.#socket?.pause()
  }

  resume(): void {
    this.#socket?.resume()
  }

  opened(socket: BunSocket, tls: boolean): void {
    if (this.#state !== 'open') {
      socket.close()
      return
    }
    this.#socket = socket
    socket.setNoDelay(true)
    this.#events.connected(this.#of)
    if (!tls) this.#secure()
  }

  shaken(error: Error | null): void {
    this.#overTls = true
    if (error && !isOfTheSocket(error)) this.authorizationError = error
    const stands = error === null || (!this.#chainMatters && !isOfTheSocket(error))
    if (stands) this.#secure()
    else this.failed(error)
  }

  /** What a server says that is not trusted, or was given up, is not heard. */
  received(bytes: Buffer): void {
    const heard = this.#secured && (this.#state === 'open' || this.#state === 'ended')
    if (heard) this.#events.received(this.#of, bytes)
  }

  failed(error: Error): void {
    if (this.#state !== 'over') this.#events.failed(this.#of, withOpensslCode(error))
  }

  drained(socket: BunSocket): void {
    while (this.#waiting) {
      const [first] = this.#waiting
      if (!first) {
        this.#waiting = null
        break
      }
      const taken = socket.write(first)
      if (taken < 0) return
      this.#waitingBytes -= taken
      if (taken < first.length) {
        this.#waiting[0] = first.subarray(taken)
        return
      }
      this.#waiting.shift()
    }
    if (this.#state === 'ended') socket.shutdown()
  }

  closed(): void {
    this.#forget()
    this.#over()
  }

  #secure(): void {
    this.#secured = true
    this.#events.secured(this.#of)
  }

  #wait(bytes: Buffer): void {
    this.#waiting ??= []
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
  }

  #forget(): void {
    this.#waiting = null
    this.#waitingBytes = 0
  }

  /** Bun calls back within `close`. */
  #over(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    queueMicrotask(() => this.#events.closed(this.#of))
  }
}

/** Of all sockets. */
const handlers: Handlers = {
  open: socket => socket.data.opened(socket, false),
  data: (socket, bytes) => socket.data.received(bytes),
  drain: socket => socket.data.drained(socket),
  error: (socket, error) => socket.data.failed(error),
  close(socket, error) {
    if (error) socket.data.failed(error)
    socket.data.closed()
  },
  connectError(socket, error) {
    socket.data.failed(error)
    socket.data.closed()
  },
}
const tlsHandlers: Handlers = {
  ...handlers,
  open: socket => socket.data.opened(socket, true),
  handshake: (socket, _success, error) => socket.data.shaken(error),
}

/** RFC 7301 §3.1: each name behind its length. */
function alpnBytes(names: readonly string[]): Buffer {
  return Buffer.concat(
    names.map(name => Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name)])),
  )
}

/** `ECONNRESET`, or `EPROTO` for what BoringSSL did not understand: there was no handshake. A judgement of the chain has another name. */
function isOfTheSocket(error: Error): boolean {
  return /^E[A-Z]+$/.test(`${(error as NodeJS.ErrnoException).code}`)
}

/** BoringSSL's reason as Node's codes have OpenSSL's: `ERR_SSL_TLSV1_ALERT_UNKNOWN_CA`. */
function withOpensslCode(error: Error): Error {
  const reason = /OPENSSL_internal:(\w+)/.exec(error.message)?.[1]
  return reason === undefined ? error : Object.assign(error, { code: `ERR_SSL_${reason}` })
}
