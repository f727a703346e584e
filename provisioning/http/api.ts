// What every route needs: the type of the API, the answers of every route, the ways in, and times on the wire.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, RawServerDefault } from 'fastify'
import { parseInstant } from '../../pki/instant.ts'
import { httpProblems } from './http-problems.ts'
import { Problem } from './problem.ts'
import { ProblemDocument } from './schemas.ts'

// biome-ignore lint/suspicious/noExplicitAny: fastify names its HTTPS server types so that only `any` fits both
export type Api = FastifyInstance<RawServerDefault, any, any, any, TypeBoxTypeProvider>

/** The answers every route may give besides its own. */
export const refusals = { '4xx': ProblemDocument, '5xx': ProblemDocument }
/** Each opens a route: an API token, the cookie of a console session, the certificate of an operator. */
export const secured = [{ token: [] }, { session: [] }, { operatorCertificate: [] }]

const DAY_MS = 86_400_000
const DAYS_KEPT_MAX = 1_000
/** `2026-03-01T`, by the number of the day. */
const days = new Map<number, string>()
const twoDigits = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, '0'))

/** As `Date.toISOString`, in a sixth of its time: a page of devices has thousands. Throws a RangeError where it does. */
export function time(at: number): string {
  const day = Math.floor(at / DAY_MS)
  let text = days.get(day)
  if (text === undefined) {
    text = new Date(day * DAY_MS).toISOString().slice(0, -'00:00:00.000Z'.length)
    if (days.size >= DAYS_KEPT_MAX) days.clear()
    days.set(day, text)
  }
  const inDay = Math.trunc(at - day * DAY_MS)
  const seconds = Math.floor(inDay / 1_000)
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60]
  return `${text}${twoDigits[hours]}:${twoDigits[minutes]}:${twoDigits[seconds % 60]}.${String(inDay % 1_000).padStart(3, '0')}Z`
}

export function timeOrNull(at: number | null): string | null {
  return at === null ? null : time(at)
}

/** Throws the problem `request_invalid` where the text is no timestamp. */
export function timestampOf(name: string, time: string): number
export function timestampOf(name: string, time: string | undefined): number | undefined
export function timestampOf(name: string, time: string | undefined): number | undefined {
  if (time === undefined) return undefined
  const at = parseInstant(time)
  if (at === null)
    throw new Problem(httpProblems, 'request_invalid', `${name} is no time: write it as 2026-03-01T12:00:00Z`)
  return at
}
