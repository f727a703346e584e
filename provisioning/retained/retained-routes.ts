// Retained messages: the list that brokers note, and clearing them. What is listed is shown; a caller bound to a group clears only what it
// says a device of the group published, and the broker holds that against the message.
import type { Static } from 'typebox'
import type { RegistryWriter } from '../../db/index.ts'
import type { RetainedFacts } from '../../db/retained/retained-file.ts'
import type { RetainedFilter, RetainedReader } from '../../db/retained/retained-reader.ts'
import type { Clearing } from '../../db/retained/retained-writer.ts'
import { compileMatcher, parseFilter } from '../../policy/topic-filter.ts'
import { type Api, refusals, secured, timeOrNull } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Problem } from '../http/problem.ts'
import { NoQuery } from '../http/schemas.ts'
import type { Log } from '../logging/log.ts'
import { actorOf, callerOf } from '../operators/authentication.ts'
import { type AuthorizationScope, scopeOf } from '../operators/authorization-scope.ts'
import type { AwaitReceipt } from '../receipt.ts'
import { retainedProblems } from './retained-problems.ts'
import { Clear, ClearReceipt, type RetainedMessage, RetainedPage, RetainedQuery } from './retained-schemas.ts'

export type RetainedServices = {
  writer: RegistryWriter
  retained: RetainedReader
  authorizationScope: AuthorizationScope
  receipt: AwaitReceipt
  log: Log
  now: () => number
}

export function retainedRoutes(api: Api, services: RetainedServices): void {
  const { writer, retained, authorizationScope, receipt, log, now } = services
  const tags = ['retained']

  api.get(
    '/v1/retained',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List retained messages, in the order of their topics',
        description:
          'As the broker noted them within the last second, without their payload. Where few are found among many, a page ends before its limit: go on until nextCursor is null.',
        querystring: RetainedQuery,
        response: { 200: RetainedPage, ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, total, filter: text = '#', device = null } = request.query
      if (device !== null) await authorizationScope.assertDevice(request, device)
      const filter = { ...rangeOf(text), device, group: scopeOf(request) }
      const after = decodeCursor(cursor, key => key.startsWith(CURSOR))?.slice(CURSOR.length) ?? null
      const { items, next } = listed(retained.page(filter, after, limit, now()))
      return {
        items: items.map(toMessage),
        nextCursor: encodeCursor(next === null ? null : CURSOR + next),
        ...(total === true && { total: listed(retained.count(filter, now())) }),
      }
    },
  )

  const answer = async (topics: string[], epoch: number, epochs?: readonly number[]) => ({
    ...(await receipt(epoch, epochs)),
    topics,
  })
  api.post(
    '/v1/retained/clear',
    {
      config: {
        replay: (done, request) => answer((request.body as Static<typeof Clear>).topics, done.epoch!),
      },
      schema: {
        tags,
        security: secured,
        summary: 'Clear retained messages',
        description:
          'All of them or none, for good, without a word to subscribers. What is published meanwhile stays. Answers when every broker acted on it, or after 2 s with those that did not.',
        querystring: NoQuery,
        body: Clear,
        response: { 200: ClearReceipt, ...refusals },
      },
    },
    async request => {
      const { topics } = request.body
      const scope = scopeOf(request)
      const clearings = topics.map(topic => clearingOf(topic, scope))
      const { epoch, epochs } = await writer.clearRetained(
        clearings as [Clearing, ...Clearing[]],
        actorOf(request),
      )
      log.retainedCleared(callerOf(request), topics.length)
      return answer(topics, epoch, epochs)
    },
  )

  /** Throws `retained_unknown` where nothing is retained that the caller may see, `retained_unlisted` where that cannot be told. */
  function clearingOf(topic: string, scope: string | null): Clearing {
    const found = retained.find(topic, scope, now())
    // Where no broker has written a list here, a caller without a group knows what it does.
    if (found === null && scope === null) return { topic, deviceId: null, publisher: null }
    const publisher = listed(found)?.deviceId
    if (publisher === undefined)
      throw new Problem(retainedProblems, 'retained_unknown', `nothing is retained on ${topic}`)
    return { topic, deviceId: scope === null ? null : publisher, publisher }
  }
}

/** Throws `retained_unlisted` where no list could be read: that is not to say that nothing is retained. */
function listed<Answer>(answer: Answer | null): Answer {
  if (answer === null)
    throw new Problem(
      retainedProblems,
      'retained_unlisted',
      'no broker lists retained messages in the data directory of this service',
    )
  return answer
}

/** Topics in which a filter matches, by their begin. Throws `filter_invalid`. */
function rangeOf(text: string): Pick<RetainedFilter, 'from' | 'to' | 'matches'> {
  const levels = parseFilter(text)
  if (levels === null) throw new Problem(retainedProblems, 'filter_invalid', `${text} is no topic filter`)
  const wild = levels.findIndex(level => level === '+' || level === '#')
  if (wild === -1) return { from: text, to: text, matches: null }
  if (text === '#') return { from: '', to: null, matches: null }
  const matches = compileMatcher(levels)
  // `a/#` matches a, too.
  const begin = levels.slice(0, wild).join('/')
  return { from: begin, to: wild === 0 ? null : `${begin}${AFTER_SLASH}`, matches }
}

/** Before the topic of a cursor: any text may be a topic. */
const CURSOR = 'topic '
/** The character that follows `/`: above all that goes on with a slash. */
const AFTER_SLASH = '0'

function toMessage({ topic, deviceId, qos, bytes, at, expiresAt }: RetainedFacts): RetainedMessage {
  return { topic, deviceId, qos, bytes, retainedAt: timeOrNull(at), expiresAt: timeOrNull(expiresAt) }
}
