// MQTT over WebSocket (MQTT 3.1.1 §6): path /mqtt, subprotocol mqtt, on the ports and behind the admission of all others.
// Only listed devices get here; bytes of a stranger are never parsed as HTTP. Deadlines are the gate's.
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { createOriginPolicy } from '../../settings/web-socket-origins.ts'

type WebSockets = {
  /** Upgrades the connection of a listed device, and reports the result. */
  upgrade(socket: TLSSocket, events: UpgradeEvents): void
}

type UpgradeEvents = {
  /** It has upgraded: the stream of MQTT bytes. `end()` closes it in order, `destroy()` cuts it. */
  opened(stream: Duplex): void
  /** The request was refused, and answered so. */
  refused(detail: string): void
  /** Frames came that end the connection: one of text [MQTT-6.0.0-1], or too many without MQTT bytes. Nothing that follows is read. */
  forbiddenFrame(detail: string): void
}

const PATH = '/mqtt'
const SUBPROTOCOL = 'mqtt'
const HEADER_BYTES_MAX = 8_192
/** Of one frame, and frames of one message, while it is not whole: each costs an object. Twice what 512 octets a TLS record need. */
const PIECES_MAX = 1_024
/** How long a peer may take to answer a Close frame before TLS is closed all the same. */
const CLOSE_ANSWER_MS = 500
/**
 * Ping, Pong and empty frames carry no MQTT bytes, which are what a device's rate counts: so many at once, and so many a second. Clients
 * send one in some seconds.
 */
const BARE_FRAMES_BURST = 64
const BARE_FRAMES_PER_SECOND = 4
/** RFC 6455 §7.4.1: data of a kind that cannot be accepted. */
const UNSUPPORTED_DATA = 1003

export function createWebSockets(settings: { packetBytesMax: number; webSocketOrigins: string }): WebSockets {
  const pending = new WeakMap<Duplex, UpgradeEvents>()
  const mayAsk = createOriginPolicy(settings.webSocketOrigins)
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: settings.packetBytesMax,
    perMessageDeflate: false,
    maxBufferedChunks: PIECES_MAX,
    maxFragments: PIECES_MAX,
    handleProtocols: offered => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const http: Server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, keepAlive: false })
  http.on('request', (request, response) => {
    response.writeHead(426, { connection: 'close, Upgrade', upgrade: 'websocket' })
    response.end(`MQTT over WebSocket is at ${PATH}, subprotocol ${SUBPROTOCOL}\n`)
    pending.get(request.socket)?.refused('no WebSocket was asked for')
  })
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400
    answer(socket, status)
    pending.get(socket)?.refused(error.code ?? error.message)
  })
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const problem = problemOf(request)
    if (problem !== null) {
      answer(socket, problem.status)
      pending.get(socket)?.refused(problem.detail)
      return
    }
    webSockets.handleUpgrade(request, socket, head, client => {
      const events = pending.get(socket)
      if (events === undefined) return void socket.destroy()
      events.opened(streamOf(client, socket, events))
    })
  })

  function problemOf({ url, headers }: IncomingMessage): { status: number; detail: string } | null {
    if (url !== PATH) return { status: 404, detail: 'another path was asked for' }
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
    // [MQTT-6.0.0-3]
    if (!offered.includes(SUBPROTOCOL)) return { status: 400, detail: 'the subprotocol mqtt was not offered' }
    if (!mayAsk(headers.origin, headers.host)) return { status: 403, detail: 'its Origin is not listed' }
    return null
  }

  return {
    upgrade(socket, events) {
      pending.set(socket, events)
      http.emit('connection', socket)
    },
  }
}

function answer(socket: Duplex, status: number): void {
  if (!socket.writable) return
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function streamOf(client: WebSocket, socket: Duplex, events: UpgradeEvents): Duplex {
  const close = client.close
  // A client that does not answer the Close frame gets close_notify: without it some clients never reconnect.
  client.close = (code, reason) => {
    close.call(client, code, reason)
    setTimeout(() => socket.end(), CLOSE_ANSWER_MS)
  }
  const stream = createWebSocketStream(client)
  const pass = client.listeners('message') as ((data: Buffer, isBinary: boolean) => void)[]
  client.removeAllListeners('message')
  const onMessage = (data: Buffer, isBinary: boolean) => {
    if (!isBinary) return forbid('a WebSocket text frame', () => client.close(UNSUPPORTED_DATA))
    if (data.length === 0) onBareFrame()
    else for (const listener of pass) listener.call(client, data, isBinary)
  }
  let left = BARE_FRAMES_BURST
  let countedAt = performance.now()
  const onBareFrame = () => {
    const now = performance.now()
    left = Math.min(BARE_FRAMES_BURST, left + ((now - countedAt) / 1_000) * BARE_FRAMES_PER_SECOND) - 1
    countedAt = now
    if (left < 0) forbid('WebSocket frames without MQTT bytes, one after the other', () => client.terminate())
  }
  function forbid(detail: string, close: () => void): void {
    client.off('message', onMessage)
    client.off('ping', onBareFrame)
    client.off('pong', onBareFrame)
    close()
    events.forbiddenFrame(detail)
  }
  client.on('message', onMessage)
  client.on('ping', onBareFrame)
  client.on('pong', onBareFrame)
  return stream
}
