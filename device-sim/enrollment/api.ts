// The provisioning API as an outsider speaks it: JSON over HTTPS with a bearer token, with retries for a busy server.
// Does not know what the calls are for.
import { Agent, request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { RunFailed } from '../failure.ts'
import { backOffMs } from '../schedule.ts'
import { AnswerLost, type Problem, refusal } from './refusal.ts'

/** An answer for the caller: any 2xx or 4xx but 429. */
export type Answer<T = unknown> = { status: number; body: T; problem: Problem | null; etag: string | null }

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH'

/**
 * With `loseAnswer` the connection is broken as soon as an answer begins, and the call rejects with `AnswerLost`; `anonymous`
 * requests show no token.
 */
type Extra = { idempotencyKey?: string; ifMatch?: string; loseAnswer?: boolean; anonymous?: boolean }

export type Api = {
  url: string
  call<T = unknown>(method: Method, path: string, body?: unknown, extra?: Extra): Promise<Answer<T>>
  /** Requests that were sent again because the server was busy or the connection broke. */
  retries(): number
  close(): void
}

type ApiOptions = {
  url: string
  token: string
  ca: string | null
  connectionsMax: number
  signal?: AbortSignal
  triesMax?: number
  backOffBaseMs?: number
  random?: () => number
}

const REQUEST_DEADLINE_MS = 30_000
const RETRY_AFTER_MAX_MS = 120_000
const BODY_BYTES_MAX = 1_048_576

/**
 * 429 and 503 are waited out: as long as Retry-After says, else with exponential back-off. One busy answer holds
 * back every caller, since they share the server. Broken connections are tried again a few times.
 */
export function createApi(options: ApiOptions): Api {
  const { url, token, ca, signal, triesMax = 10, backOffBaseMs = 250, random = Math.random } = options
  const agent = new Agent({
    keepAlive: true,
    maxSockets: options.connectionsMax,
    ...(ca === null ? {} : { ca }),
  })
  let pausedUntil = 0
  let retries = 0

  async function call<T>(
    method: Method,
    path: string,
    body?: unknown,
    extra: Extra = {},
  ): Promise<Answer<T>> {
    let networkFailures = 0
    for (let tries = 1; ; tries++) {
      while (pausedUntil > Date.now()) await pause(pausedUntil - Date.now())
      let answer: RawAnswer
      try {
        answer = await send(method, path, body, extra)
      } catch (error) {
        if (error instanceof AnswerLost) throw error
        if (signal?.aborted) throw new RunFailed('interrupted while talking to the API')
        if (!worthRetrying(error) || ++networkFailures > 3) throw unreachable(error)
        retries++
        await pause(backOffMs(networkFailures, { baseMs: backOffBaseMs, random }))
        continue
      }
      if (answer.status !== 429 && answer.status < 500) {
        const problem = answer.status >= 400 ? ((answer.body ?? {}) as Problem) : null
        return { status: answer.status, body: answer.body as T, problem, etag: answer.etag }
      }
      if ((answer.status !== 429 && answer.status !== 503) || tries >= triesMax) {
        throw refusal(`${method} ${path}`, answer.status, (answer.body ?? {}) as Problem)
      }
      retries++
      const waitMs = answer.retryAfterMs ?? backOffMs(tries - 1, { baseMs: backOffBaseMs, random })
      if (waitMs > RETRY_AFTER_MAX_MS) {
        throw new RunFailed(`the API asks to come back in ${Math.ceil(waitMs / 1000)} s`, {
          hint: 'run again later, or with a lower --enroll-concurrency',
        })
      }
      pausedUntil = Math.max(pausedUntil, Date.now() + waitMs)
    }
  }

  async function pause(ms: number): Promise<void> {
    try {
      await sleep(ms, undefined, signal ? { signal } : undefined)
    } catch {
      throw new RunFailed('interrupted while talking to the API')
    }
  }

  function send(method: Method, path: string, body: unknown, extra: Extra): Promise<RawAnswer> {
    const text = body === undefined ? null : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, url), {
        method,
        agent,
        timeout: REQUEST_DEADLINE_MS,
        ...(signal ? { signal } : {}),
        headers: {
          ...(extra.anonymous ? {} : { authorization: `Bearer ${token}` }),
          accept: 'application/json',
          ...(extra.idempotencyKey === undefined ? {} : { 'idempotency-key': extra.idempotencyKey }),
          ...(extra.ifMatch === undefined ? {} : { 'if-match': extra.ifMatch }),
          ...(text === null
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
      })
      outgoing.on('timeout', () =>
        outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      )
      outgoing.on('error', reject)
      // An answer that switches protocols unasked is neither a response nor an error.
      outgoing.once('close', () =>
        reject(Object.assign(new Error('closed without an answer'), { code: 'ECONNRESET' })),
      )
      outgoing.on('response', response => {
        if (extra.loseAnswer && (response.statusCode ?? 500) < 300) {
          reject(new AnswerLost())
          outgoing.destroy()
          return
        }
        const parts: Buffer[] = []
        let size = 0
        response.on('error', reject)
        response.on('data', (part: Buffer) => {
          size += part.length
          if (size > BODY_BYTES_MAX) outgoing.destroy(new Error('the API answered more than 1 MiB'))
          else parts.push(part)
        })
        response.on('end', () => {
          const retryAfterMs = parseRetryAfterMs(response.headers['retry-after'], Date.now())
          resolve({
            status: response.statusCode ?? 0,
            body: parseJson(Buffer.concat(parts).toString('utf8')),
            retryAfterMs,
            etag: response.headers.etag ?? null,
          })
        })
      })
      outgoing.end(text ?? undefined)
    })
  }

  function unreachable(error: unknown): RunFailed {
    const { code, message } = error as NodeJS.ErrnoException
    return new RunFailed(`cannot talk to the API at ${url}: ${code ?? message}`, {
      hint: 'is it running, and does --ca name the certificate it is trusted by?',
      cause: error,
    })
  }

  return { url, call, retries: () => retries, close: () => agent.destroy() }
}

/** RFC 9110 §10.2.3: seconds or an HTTP date. Null where absent or neither. */
export function parseRetryAfterMs(header: string | undefined, now: number): number | null {
  if (header === undefined) return null
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000
  const date = new Date(header).getTime()
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

type RawAnswer = { status: number; body: unknown; retryAfterMs: number | null; etag: string | null }

function parseJson(text: string): unknown {
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    return null
  }
}

function worthRetrying(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return ['ECONNRESET', 'ECONNREFUSED', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'].includes(code)
}
