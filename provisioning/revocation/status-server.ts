// The plain HTTP server of CRLs, OCSP and CA certificates. Plain, since all it serves is signed and public, and since
// a client that checks a TLS certificate cannot ask over TLS first (RFC 5280 §8). Knows requests, refuses to know the record.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { trackAnswers } from '../server/answers-in-flight.ts'
import { boundConnections, type ConnectionLimits } from '../server/connection-bounds.ts'

export type StatusAnswer = {
  status: number
  type?: string
  body?: Buffer
  headers?: Record<string, string>
}
/** `path` is as it came, percent-encoding and all. A body is there for POST alone. */
export type StatusRequest = {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Buffer
}
export type StatusHandler = (request: StatusRequest) => StatusAnswer | Promise<StatusAnswer>

export type StatusServer = {
  port: number
  /** Until then, every request is answered 503. */
  serve(handler: StatusHandler): void
  close(): Promise<void>
}

const BODY_BYTES_MAX = 16 * 1024
/** Half of them of one address: a proxy may stand for many, and keeps nobody else out. */
const CONNECTIONS: ConnectionLimits = { max: 1_000, perAddressMax: 500 }
const DRAIN_MS = 2_000

export async function openStatusServer(
  { host, port }: { host: string; port: number },
  onFailed: (error: unknown) => void = () => {},
  limits = CONNECTIONS,
): Promise<StatusServer> {
  let handler: StatusHandler = () => ({ status: 503, headers: { 'retry-after': '1' } })
  const server = createServer({
    headersTimeout: 5_000,
    requestTimeout: 10_000,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
  })
  boundConnections(server, limits)
  const answers = trackAnswers(server)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response).catch(error => {
      onFailed(error)
      if (response.headersSent) response.destroy()
      else respond(request, response, { status: 500 })
    })
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = request
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
      request.resume()
      return respond(request, response, { status: 405, headers: { allow: 'GET, HEAD, POST' } })
    }
    const body = method === 'POST' ? await bodyOf(request) : Buffer.alloc(0)
    if (body === null) return respond(request, response, { status: 413, headers: { connection: 'close' } })
    respond(request, response, await handler({ method, path, headers: request.headers, body }))
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(inWords(error, host, port)))
    server.listen({ host: host === 'localhost' ? '127.0.0.1' : host, port }, resolve)
  })
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : port,
    serve: served => {
      handler = served
    },
    async close() {
      await answers.sent(DRAIN_MS)
      const closed = new Promise<void>(resolve => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

function respond(request: IncomingMessage, response: ServerResponse, answer: StatusAnswer): void {
  const { status, type, headers = {} } = answer
  const body = answer.body ?? (status >= 400 ? Buffer.from(`${status}\n`) : null)
  response.writeHead(status, {
    ...headers,
    'x-content-type-options': 'nosniff',
    ...(body === null ? {} : { 'content-type': type ?? 'text/plain', 'content-length': body.length }),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Null where it is longer than any request has a reason to be; nothing of it is kept then. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) {
    request.resume()
    return null
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request) {
    length += part.length
    if (length > BODY_BYTES_MAX) return null
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function inWords(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const advice: Record<string, string> = {
    EADDRINUSE: 'the port is in use: stop the process that holds it, or name another with --status-port',
    EACCES: 'this user may not open the port: name one above 1023 with --status-port',
    EADDRNOTAVAIL: 'this machine has no such address: name another with --host',
    ENOTFOUND: 'the host name does not resolve: name an address with --host',
  }
  return new Error(
    `CRL and OCSP cannot be served on ${host} port ${port}: ${advice[error.code ?? ''] ?? error.code}`,
    { cause: error },
  )
}
