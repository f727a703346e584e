// MQTT over WebSocket (MQTT 3.1.1 §6): path /mqtt, subprotocol mqtt, on the ports and behind the admission of all others.
// Only admitted connections come here; what a stranger sends is never parsed as HTTP.
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { createWebSocketStream, WebSocketServer } from 'ws'

export type WebSockets = {
  /** Speaks HTTP with an admitted peer; calls back with the stream of MQTT bytes once it has upgraded. */
  upgrade(socket: TLSSocket, done: (stream: Duplex) => void): void
}

const PATH = '/mqtt'
const SUBPROTOCOL = 'mqtt'
const HEADER_BYTES_MAX = 8_192

export function createWebSockets(settings: { packetBytesMax: number; connectTimeoutMs: number }): WebSockets {
  const waiting = new WeakMap<Duplex, (stream: Duplex) => void>()
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: settings.packetBytesMax,
    perMessageDeflate: false,
    handleProtocols: offered => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  })
  const http: Server = createServer({
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: settings.connectTimeoutMs,
    requestTimeout: settings.connectTimeoutMs,
    connectionsCheckingInterval: settings.connectTimeoutMs,
    keepAlive: false,
  })
  http.on('request', (_request, response) => {
    response.writeHead(426, { connection: 'close, Upgrade', upgrade: 'websocket' })
    response.end(`MQTT over WebSocket is at ${PATH}, subprotocol ${SUBPROTOCOL}\n`)
  })
  http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const problem = problemOf(request)
    if (problem !== null)
      return void socket.end(`HTTP/1.1 ${problem}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    webSockets.handleUpgrade(request, socket, head, client => {
      waiting.get(socket)?.(createWebSocketStream(client))
    })
  })
  // A server that does not listen has no timer of its own to end what takes too long.
  http.on('connection', socket => socket.setTimeout(settings.connectTimeoutMs, () => socket.destroy()))

  return {
    upgrade(socket, done) {
      waiting.set(socket, stream => {
        socket.setTimeout(0)
        done(stream)
      })
      http.emit('connection', socket)
    },
  }
}

function problemOf({ url, headers }: IncomingMessage): string | null {
  if (url !== PATH) return '404 Not Found'
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  return offered.includes(SUBPROTOCOL) ? null : '400 Bad Request' // [MQTT-6.0.0-3]
}
