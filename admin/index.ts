// The loopback room for machines that watch: is it alive, is it ready, how is it doing. Plain HTTP, GET only.
// Refuses to know what is being watched: it is handed two questions and asks them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type AdminOptions = {
  host: string
  /** 0 picks a free one. */
  port: number
  /** What is still missing, in words; an empty list is ready. */
  missing(): readonly string[]
  /** What chooses the port, for errors. */
  flag?: string
  /** The Prometheus text exposition (version 0.0.4). */
  metrics(): Promise<string>
}

export type AdminServer = { url: string; close(): Promise<void> }

/** How long a scrape may take; what is asked may hang. */
const METRICS_TIMEOUT_MS = 5_000
const CONNECTIONS_MAX = 32
const EXPOSITION = 'text/plain; version=0.0.4; charset=utf-8'
const PLAIN = 'text/plain; charset=utf-8'

type Answer = { status: number; type: string; body: string }

/**
 * Listens for `/livez`, `/readyz` (503 with what is missing) and `/metrics`. Anything else is 404, another method 405.
 * @throws Error that says what to do where the address cannot be had.
 */
export async function createAdminServer(options: AdminOptions): Promise<AdminServer> {
  const routes: Record<string, () => Answer | Promise<Answer>> = {
    '/livez': () => ({ status: 200, type: PLAIN, body: 'ok\n' }),
    '/readyz': () => readiness(options.missing()),
    '/metrics': async () => ({ status: 200, type: EXPOSITION, body: await inTime(options.metrics()) }),
  }
  const server = createServer(
    { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 5_000 },
    (request, response) => {
      answer(routes, request).then(
        result => send(response, result),
        () => send(response, { status: 503, type: PLAIN, body: 'metrics did not come in time\n' }),
      )
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  server.setTimeout(10_000)
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(inWords(error, options)))
    server.listen(options.port, options.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  routes: Record<string, () => Answer | Promise<Answer>>,
  request: IncomingMessage,
): Promise<Answer> {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined
  if (!route) return { status: 404, type: PLAIN, body: 'here are /livez, /readyz and /metrics\n' }
  if (request.method !== 'GET') return { status: 405, type: PLAIN, body: 'GET only\n' }
  return route()
}

function readiness(missing: readonly string[]): Answer {
  if (missing.length === 0) return { status: 200, type: PLAIN, body: 'ready\n' }
  return { status: 503, type: PLAIN, body: missing.map(what => `not ready: ${what}\n`).join('') }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...(status === 405 ? { Allow: 'GET' } : {}),
  })
  response.end(body)
}

async function inTime<Value>(work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('metrics took too long')), METRICS_TIMEOUT_MS)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

function inWords(error: NodeJS.ErrnoException, { host, port, flag = '--admin-port' }: AdminOptions): Error {
  const because = { cause: error }
  if (error.code === 'EADDRINUSE') {
    return new Error(
      `port ${port} on ${host} is in use: stop what listens there, or choose another with ${flag}`,
      because,
    )
  }
  if (error.code === 'EACCES') {
    return new Error(`port ${port} needs privileges: choose one above 1023 with ${flag}`, because)
  }
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND') {
    return new Error(`${host} is no address of this machine: choose another host`, because)
  }
  return new Error(`the admin port cannot be opened (${error.message})`, because)
}
