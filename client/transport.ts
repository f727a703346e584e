// One request over HTTPS, one JSON document back. Trusts only the CA it was given, waits only so long,
// and reads only so much.
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import { ApiProblem, ApiUnreachable } from './failures.ts'

export type TransportOptions = {
  /** Where the service is, such as `https://127.0.0.1:8443`. */
  api: string | URL
  token?: string
  /** A certificate (leaf, then chain) and key, PEM: a device calls for itself so, or an operator without a token. */
  identity?: { certificate: string; key: string }
  /** PEM of the CA that the service's certificate chains to. */
  ca: string | Buffer
  /** Sent with every POST and PATCH, which are then done once however often they are asked: for one change. */
  idempotencyKey?: string
  /** For one call from its first byte to its last. */
  timeoutMs?: number
}

export type Transport = {
  /** @throws ApiProblem, ApiUnreachable */
  call<Result>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Result>
  /**
   * Sends bytes as they come and gives the answer as it comes. Waits `timeoutMs` for each next byte, however long all of
   * it takes. An answer that comes before everything was sent ends the sending.
   * @throws ApiProblem, ApiUnreachable
   */
  stream(method: string, path: string, options?: StreamOptions): Promise<IncomingMessage>
  close(): void
}
/** `waits`: nothing may come for as long as nothing happens. */
export type StreamOptions = {
  body?: AsyncIterable<Uint8Array>
  headers?: Record<string, string>
  waits?: boolean
}

const ANSWER_BYTES_MAX = 16 * 1024 * 1024

export function createTransport(options: TransportOptions): Transport {
  const { api, token, ca, identity, idempotencyKey, timeoutMs = 15_000 } = options
  const origin = new URL(api)
  if (origin.protocol !== 'https:')
    throw new TypeError(`the API is reached by https only, not ${origin.protocol}`)
  const shown = identity === undefined ? {} : { cert: identity.certificate, key: identity.key }
  const agent = new Agent({ ca, ...shown, keepAlive: true, maxSockets: 16, minVersion: 'TLSv1.2' })

  async function call<Result>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Result> {
    const url = new URL(path, origin)
    const signal = AbortSignal.timeout(timeoutMs)
    const { status, text } = await exchange(url, method, body, headers, signal).catch((error: Error) => {
      throw new ApiUnreachable(url, signal.aborted ? (signal.reason as Error) : error)
    })
    const document = status === 204 ? null : parsed(text)
    if (status >= 200 && status < 300 && document !== undefined) return document as Result
    throw new ApiProblem(status, document ?? { detail: `the service answered ${status} without a document` })
  }

  async function exchange(
    url: URL,
    method: string,
    body: unknown,
    headers: Record<string, string>,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    // Bytes are sent as they are; the caller names their media type.
    const payload = body === undefined ? null : Buffer.isBuffer(body) ? body : JSON.stringify(body)
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = request(url, {
        method,
        agent,
        signal,
        headers: {
          ...(payload === null
            ? {}
            : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }),
          ...headers,
          ...(idempotencyKey !== undefined && /^(POST|PATCH)$/.test(method)
            ? { 'Idempotency-Key': idempotencyKey }
            : {}),
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
          Accept: 'application/json, application/problem+json',
        },
      })
      outgoing.once('response', resolve)
      outgoing.on('error', reject)
      outgoing.once('close', () => reject(closed()))
      outgoing.end(payload ?? undefined)
    })
    return { status: answer.statusCode ?? 0, text: await read(answer) }
  }

  async function stream(
    method: string,
    path: string,
    { body, headers = {}, waits = false }: StreamOptions = {},
  ): Promise<IncomingMessage> {
    const url = new URL(path, origin)
    const authorization = token === undefined ? {} : { Authorization: `Bearer ${token}` }
    const outgoing = request(url, { method, agent, headers: { ...headers, ...authorization } })
    const answered = Promise.withResolvers<IncomingMessage>()
    if (!waits) outgoing.setTimeout(timeoutMs, () => outgoing.destroy(new Error('it stalled')))
    outgoing.once('response', answered.resolve)
    outgoing.on('error', answered.reject)
    outgoing.once('close', () => answered.reject(closed()))
    const source: { failed?: unknown } = {}
    const sent = send(outgoing, body, answered.promise, source)
    const answer = await answered.promise.catch((error: Error) => {
      // What could not be read here says nothing about the service.
      if ('failed' in source) throw source.failed
      throw new ApiUnreachable(url, error)
    })
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) {
      await sent
      return answer
    }
    const text = await read(answer)
    throw new ApiProblem(
      status,
      parsed(text) ?? { detail: `the service answered ${status} without a document` },
    )
  }

  return { call, stream, close: () => agent.destroy() }
}

/** Stops reading the source once there is an answer. An error of the source ends the request, and is noted in `source`. */
async function send(
  outgoing: ClientRequest,
  body: AsyncIterable<Uint8Array> | undefined,
  answered: Promise<unknown>,
  source: { failed?: unknown },
): Promise<void> {
  let over = false
  const end = answered.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  try {
    for await (const chunk of body ?? []) {
      if (over) break
      if (!outgoing.write(chunk)) {
        await Promise.race([new Promise(resolve => outgoing.once('drain', resolve)), end])
      }
    }
    outgoing.end()
  } catch (error) {
    source.failed = error
    outgoing.destroy(error as Error)
  }
}

/** An answer that switches protocols unasked (101) is to Node neither a response nor an error. */
function closed(): Error {
  return Object.assign(new Error('the connection was closed without an answer'), { code: 'ECONNRESET' })
}

async function read(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
