// One request to the API and its answer, as a value or as what went wrong. Keeps the session's CSRF token in memory alone.
import { ApiProblem } from '../../client/failures.ts'
import { connection } from './connection.ts'
import { holdsReplaced, parseReceived } from './received.ts'

/** The service did not answer: it is down or restarting, or the network is down. */
export class Unreachable extends Error {}

type Answer<T> = { body: T; etag: string | null }
type More = { headers?: Record<string, string>; signal?: AbortSignal; timeoutMs?: number }

const TIMEOUT_MS = 30_000
const SESSION = '/v1/session'
let csrfToken: string | null = null
let ended: () => void = () => {}
let changed: () => Promise<boolean> = async () => false
/** Resolves at the next sign-in; null while a session holds. */
let signedIn: PromiseWithResolvers<void> | null = null

/** What every change shows beside the cookie; null once signed out. */
export function keepCsrfToken(token: string | null): void {
  csrfToken = token
  if (token === null) return
  signedIn?.resolve()
  signedIn = null
}

/** Calls `listener` when the service answers that no session is valid. */
export function onSessionEnded(listener: () => void): void {
  ended = listener
}

/** Calls `listener` when the cookie is of another session; the result says whether the operator is the same. */
export function onSessionChanged(listener: () => Promise<boolean>): void {
  changed = listener
}

/** Where the session has ended, waits for the next one: what a page asks goes on as if nothing had been. */
export async function ask<T>(path: string, more: More = {}): Promise<T> {
  for (;;) {
    if (path !== SESSION) await signedIn?.promise
    try {
      return (await request<T>('GET', path, more)).body
    } catch (failure) {
      if (!(failure instanceof ApiProblem && failure.status === 401 && path !== SESSION)) throw failure
      signedIn ??= Promise.withResolvers()
    }
  }
}

/** Does a change. Where its answer is lost, asks once more with the same Idempotency-Key: it is done once all the same. */
export async function change<T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  more: More = {},
): Promise<T> {
  const keyed = method === 'POST' || method === 'PATCH'
  const key = keyed ? { 'Idempotency-Key': crypto.randomUUID() } : {}
  const json = body === undefined ? {} : { 'Content-Type': 'application/json' }
  const text = body === undefined ? null : JSON.stringify(body)
  if (text !== null && holdsReplaced(text))
    throw new ApiProblem(400, {
      detail: 'It holds characters that are not shown here (\u{fffd}) and would be lost.',
      hint: 'Take them out, or change it with the command line.',
    })
  const once = () =>
    request<T>(method, path, {
      ...more,
      headers: { ...key, ...json, ...more.headers },
      ...(text === null ? {} : { body: text }),
    })
  const answer = await once().catch(async (failure: unknown) => {
    if (keyed && failure instanceof Unreachable) return once()
    // Somebody signed in anew in another tab: the cookie is theirs, and so may be this change, where it is the same operator.
    if (failure instanceof ApiProblem && failure.reason === 'csrf_token_missing' && (await changed()))
      return once()
    throw failure
  })
  return answer.body
}

/** Sends a file as it is. */
export async function upload<T>(
  path: string,
  file: Blob,
  type: string,
  method: 'POST' | 'PUT' = 'POST',
): Promise<T> {
  return (
    await request<T>(method, path, { headers: { 'Content-Type': type }, body: file, timeoutMs: 600_000 })
  ).body
}

async function request<T>(
  method: string,
  path: string,
  { headers = {}, signal, body, timeoutMs = TIMEOUT_MS }: More & { body?: BodyInit } = {},
): Promise<Answer<T>> {
  const timeout = AbortSignal.timeout(timeoutMs)
  const answer = await fetch(path, {
    method,
    credentials: 'same-origin',
    redirect: 'error',
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    headers: {
      Accept: 'application/json, application/problem+json',
      ...(csrfToken === null || method === 'GET' ? {} : { 'X-CSRF-Token': csrfToken }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error
    throw new Unreachable('The service does not answer.', { cause: error })
  })
  const text = await answer.text().catch((error: unknown) => {
    throw new Unreachable('The answer broke off.', { cause: error })
  })
  connection.say({ reached: true, retryAt: null })
  if (answer.ok) return { body: parsed(answer, text) as T, etag: answer.headers.get('etag') }
  const problem = new ApiProblem(answer.status, parsed(answer, text))
  if (answer.status === 401 && path !== SESSION) ended()
  throw problem
}

function parsed(answer: Response, text: string): unknown {
  if (text === '') return undefined
  if (!/^application\/(problem\+)?json\b/.test(answer.headers.get('content-type') ?? '')) return text
  try {
    return parseReceived(text)
  } catch {
    return undefined
  }
}

/** Whether the same question may well be answered a little later. */
export function passes(failure: unknown): boolean {
  return (
    failure instanceof Unreachable ||
    (failure instanceof ApiProblem && [429, 502, 503, 504].includes(failure.status))
  )
}

/** A query string of what is given; empty values are left out. */
export function query(values: Record<string, string | number | boolean | null | undefined>): string {
  const pairs = Object.entries(values).filter(
    ([, value]) => value !== undefined && value !== null && value !== '',
  )
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString()
  return text === '' ? '' : `?${text}`
}
