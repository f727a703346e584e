// MQTT over WebSocket (MQTT 3.1.1 §6): path /mqtt, subprotocol mqtt, on the ports and behind the admission of all others.
// Only devices on the roll come here; what a stranger sends is never parsed as HTTP. Deadlines are the gate's.
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'
import { createOriginPolicy } from './web-socket-origin.ts'

export type WebSockets = {
  /** Speaks HTTP with a peer that is on the roll, and tells what becomes of it. */
  upgrade(socket: TLSSocket, events: UpgradeEvents): void
}

export type UpgradeEvents = {
  /** It has upgraded: the stream of MQTT bytes. `end()` closes it in order, `destroy()` cuts it. */
  opened(stream: Duplex): void
  /** The request was refused, and answered so. */
  refused(detail: string): void
  /** A text frame came, which ends the connection [MQTT-6.0.0-1]. Nothing that follows it is read. */
  textFrame(): void
}

const PATH = '/mqtt'
const SUBPROTOCOL = 'mqtt'
const HEADER_BYTES_MAX = 8_192
/** How long a peer may take to answer a Close frame before TLS is closed all the same. */
const CLOSE_ANSWER_MS = 500
/** RFC 6455 §7.4.1: data of a kind that cannot be accepted. */
const UNSUPPORTED_DATA = 1003

export function createWebSockets(settings: { packetBytesMax: number; webSocketOrigins: string }): WebSockets {
  const pending = new WeakMap<Duplex, UpgradeEvents>()
  const mayAsk = createOriginPolicy(settings.webSocketOrigins)
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: settings.packetBytesMax,
    perMessageDeflate: false,
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
  // Whoever does not answer a Close frame is told by TLS: without close_notify some clients never return.
  client.close = (code, reason) => {
    close.call(client, code, reason)
    setTimeout(() => socket.end(), CLOSE_ANSWER_MS)
  }
  const stream = createWebSocketStream(client)
  const pass = client.listeners('message') as ((data: Buffer, isBinary: boolean) => void)[]
  client.removeAllListeners('message')
  const onMessage = (data: Buffer, isBinary: boolean) => {
    if (isBinary) {
      for (const listener of pass) listener.call(client, data, isBinary)
      return
    }
    client.off('message', onMessage)
    client.close(UNSUPPORTED_DATA)
    events.textFrame()
  }
  client.on('message', onMessage)
  return stream
}
