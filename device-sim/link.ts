// One connection attempt over mutual TLS and MQTT 3.1.1, and what the device saw of it. The only file that knows
// MQTT.js. Refuses to know whether what was seen is good or bad news.
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls'
import { type IClientOptions, MqttClient } from 'mqtt'
import type { Broker } from './target.ts'

/** What a device can know of how its attempt ended. */
export type Seen =
  | { kind: 'admitted' }
  | { kind: 'connack'; code: number }
  | { kind: 'tls_alert'; alert: string }
  | { kind: 'closed_after_handshake' }
  /** TCP opened and closed again before TLS stood: a limit or a dying server, not a judgement of the certificate. */
  | { kind: 'closed_before_handshake' }
  /** It was us who refused: the server's certificate is not trusted. */
  | { kind: 'server_not_trusted'; code: string }
  | { kind: 'unreachable'; code: string }
  | { kind: 'timeout'; stage: Stage }
  | { kind: 'failed'; code: string }
  | { kind: 'cancelled' }

export type Stage = 'tcp' | 'tls' | 'mqtt'

export type LinkOptions = {
  broker: Broker
  clientId: string
  /** Null to arrive without a certificate. */
  credentials: { key: string; certificates: string } | null
  timeoutMs: number
  keepAliveSeconds?: number
}

/** An MQTT session as a device uses it. Every callback comes at most once, except `onMessage`. */
export type Session = {
  /** `onAck` comes with PUBACK or PUBCOMP; at QoS 0 when the message was handed to the socket. */
  publish(topic: string, payload: string, qos: 0 | 1 | 2, onAck: () => void): void
  subscribe(filter: string, qos: 0 | 1 | 2, onResult: (granted: boolean) => void): void
  onMessage(handle: (topic: string) => void): void
  onClose(handle: (cause: string) => void): void
  /** Bytes that the socket has not taken yet. */
  bufferedBytes(): number
  /** DISCONNECT, then close; forced after a second. */
  end(): Promise<void>
}

export type Attempt = {
  settled: Promise<{ seen: Seen; session: Session | null }>
  cancel(): void
}

const silent = (): void => {}

/** Starts one attempt. Never rejects: whatever happens is something seen. */
export function openLink(options: LinkOptions): Attempt {
  const { broker, credentials } = options
  let stage: Stage = 'tcp'
  let settle: (result: { seen: Seen; session: Session | null }) => void = silent
  const settled = new Promise<{ seen: Seen; session: Session | null }>(resolve => {
    settle = resolve
  })
  let lastError: Error | null = null
  let finished = false
  let client: MqttClient | null = null
  const timer = setTimeout(() => finish({ kind: 'timeout', stage }), options.timeoutMs)

  function finish(seen: Seen): void {
    if (finished) return
    finished = true
    clearTimeout(timer)
    if (seen.kind === 'admitted' && client) {
      settle({ seen, session: sessionOver(client) })
      return
    }
    settle({ seen, session: null })
    client?.end(true)
  }

  function openSocket(): TLSSocket {
    const socket = connectTls({
      host: broker.host,
      port: broker.port,
      secureContext: createSecureContext({
        ...(broker.ca === null ? {} : { ca: broker.ca }),
        ...(credentials ? { key: credentials.key, cert: credentials.certificates } : {}),
      }),
      ...(/^[\d.]+$|:/.test(broker.host) ? {} : { servername: broker.host }),
    })
    socket.setNoDelay(true)
    socket.once('connect', () => {
      stage = 'tls'
    })
    socket.once('secureConnect', () => {
      stage = 'mqtt'
    })
    socket.on('error', (error: Error) => {
      lastError = error
    })
    socket.once('close', () => finish(seenAtClose(stage, lastError, Boolean(socket.authorizationError))))
    return socket
  }

  const mqttOptions: IClientOptions = {
    clientId: options.clientId,
    protocolVersion: 4,
    clean: true,
    keepalive: options.keepAliveSeconds ?? 60,
    // Deadlines, reconnects and subscriptions are the device's business: nothing may happen behind its back.
    reconnectPeriod: 0,
    connectTimeout: 2_147_483_647,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: 'native',
    log: silent,
  }
  try {
    client = new MqttClient(openSocket, mqttOptions)
  } catch (error) {
    // A key that does not fit its certificate fails here, before anything is sent.
    finish({ kind: 'failed', code: codeOf(error as Error) })
    return { settled, cancel: silent }
  }
  client.on('error', (error: Error & { code?: number | string }) => {
    if (typeof error.code === 'number' && stage === 'mqtt') finish({ kind: 'connack', code: error.code })
    else if (lastError === null) lastError = error
  })
  client.once('connect', () => finish({ kind: 'admitted' }))
  return { settled, cancel: () => finish({ kind: 'cancelled' }) }
}

/** A short, stable name for what was seen, as used in counts and reports. */
export function nameOf(seen: Seen): string {
  switch (seen.kind) {
    case 'connack':
      return `connack_${seen.code}`
    case 'tls_alert':
      return `tls_alert_${seen.alert}`
    case 'timeout':
      return `timeout_${seen.stage}`
    case 'unreachable':
    case 'server_not_trusted':
    case 'failed':
      return `${seen.kind}_${seen.code.toLowerCase()}`
    default:
      return seen.kind
  }
}

// Alerts that judge who we are. The others (protocol_version, internal_error …) only say that TLS did not work out.
const judgingAlerts = new Set([
  'access_denied',
  'bad_certificate',
  'certificate_expired',
  'certificate_required',
  'certificate_revoked',
  'certificate_unknown',
  'decrypt_error',
  'handshake_failure',
  'unknown_ca',
  'unsupported_certificate',
])

/** True only where the broker was seen to turn the device away: silence and absence prove nothing. */
export function isRefusal(seen: Seen): boolean {
  if (seen.kind === 'tls_alert') return judgingAlerts.has(seen.alert)
  return seen.kind === 'connack' || seen.kind === 'closed_after_handshake'
}

/** How a socket's end is to be read, from how far it got and what the last error was. */
export function seenAtClose(stage: Stage, error: Error | null, serverNotTrusted: boolean): Seen {
  const code = error ? codeOf(error) : ''
  const alert = /ALERT_(?:NUMBER_)?(\w+)$/.exec(code)?.[1]
  if (alert) return { kind: 'tls_alert', alert: alert.toLowerCase() }
  if (stage === 'tcp') return { kind: 'unreachable', code: code || 'closed' }
  if (serverNotTrusted || code === 'ERR_TLS_CERT_ALTNAME_INVALID') return { kind: 'server_not_trusted', code }
  if (code === 'ETIMEDOUT') return { kind: 'timeout', stage }
  const closed = code === '' || code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED'
  if (!closed) return { kind: 'failed', code }
  return { kind: stage === 'tls' ? 'closed_before_handshake' : 'closed_after_handshake' }
}

function codeOf(error: Error): string {
  return String((error as NodeJS.ErrnoException).code ?? error.message).replace(/\W+/g, '_')
}

function sessionOver(client: MqttClient): Session {
  let closeCause: string | null = null
  let lastCode = ''
  let announceClose: (cause: string) => void = silent
  client.on('error', (error: Error) => {
    lastCode = codeOf(error).toLowerCase()
  })
  client.once('close', () => {
    closeCause = lastCode === '' || lastCode === 'econnreset' ? 'closed_by_broker' : lastCode
    announceClose(closeCause)
  })
  return {
    publish(topic, payload, qos, onAck) {
      client.publish(topic, payload, { qos }, error => {
        if (!error) onAck()
      })
    },
    subscribe(filter, qos, onResult) {
      client.subscribe(filter, { qos }, (error, granted, suback) => {
        // Without a SUBACK the session ended first: nobody refused anything.
        if (suback) onResult(!error && granted?.[0]?.qos !== 128)
      })
    },
    onMessage(handle) {
      client.on('message', topic => handle(topic))
    },
    onClose(handle) {
      announceClose = handle
      if (closeCause !== null) handle(closeCause)
    },
    bufferedBytes: () => client.stream.writableLength ?? 0,
    end() {
      return new Promise(resolve => {
        if (closeCause !== null) return resolve()
        const force = setTimeout(() => client.end(true), 1_000)
        client.once('close', () => {
          clearTimeout(force)
          resolve()
        })
        client.end(Object.keys(client.outgoing).length > 0)
      })
    },
  }
}
