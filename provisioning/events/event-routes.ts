// Events: pages of what was, and a stream of what comes (server-sent events). Somebody bound to a group is told of the devices
// of that group alone; an event that is about none is not for him.

import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { kinds } from '../../db/events/event-kind.ts'
import type { Event } from '../../db/events/event-reader.ts'
import type { RollReader } from '../../db/roll/roll-reader.ts'
import { type Api, refusals, secured, timestampOf } from '../http/api.ts'
import { decodeCursor, encodeCursor } from '../http/cursor.ts'
import { Problem } from '../http/problem.ts'
import * as schemas from '../http/schemas.ts'
import type { Authentication } from '../operators/authentication.ts'
import { scopeOf } from '../operators/authorization-scope.ts'
import { eventProblems } from './event-problems.ts'
import { EventResponse, toEventResponse } from './event-response.ts'
import type { EventService } from './index.ts'

type EventServices = {
  roll: RollReader
  events: Pick<EventService, 'reader' | 'streams'>
}

const { Name, OneOf, strict } = schemas
/** How long a caller has to take what was written. */
const END_MS = 1_000
const STREAM_TYPE = 'text/event-stream; charset=utf-8'
const filter = {
  device: Type.Optional(Name),
  kind: Type.Optional(OneOf(kinds)),
  reason: Type.Optional(Type.String({ pattern: '^[A-Za-z_]{1,64}$' })),
}
const EventQuery = Type.Object(
  { ...schemas.paging, ...filter, since: Type.Optional(Type.String({ format: 'date-time' })) },
  strict,
)
const StreamQuery = Type.Object(filter, strict)

export function eventRoutes(
  api: Api,
  { events, roll }: EventServices,
  { isStillIn }: Pick<Authentication, 'isStillIn'>,
): void {
  const tags = ['events']

  function maySee(request: FastifyRequest): (event: Event) => boolean {
    const scope = scopeOf(request)
    if (scope === null) return () => true
    return ({ deviceId }) => deviceId !== null && roll.isMember(deviceId, scope)
  }

  api.get(
    '/v1/events',
    {
      schema: {
        tags,
        security: secured,
        summary: 'List events, newest first',
        description:
          'Events of the last seven days, at most 200,000; the record is the audit log. Where few are found among many, a page ends before its limit: go on until nextCursor is null.',
        querystring: EventQuery,
        response: { 200: schemas.PageOf(EventResponse), ...refusals },
      },
    },
    async request => {
      const { limit = 100, cursor, since, ...asked } = request.query
      const before = decodeCursor(cursor, text => /^\d{1,16}$/.test(text))
      const wanted = { ...asked, since: timestampOf('since', since), maySee: maySee(request) }
      const { items, next } = events.reader.page(wanted, before === null ? null : Number(before), limit)
      return {
        items: items.map(toEventResponse),
        nextCursor: encodeCursor(next === null ? null : String(next)),
      }
    },
  )

  api.get(
    '/v1/events/stream',
    {
      schema: {
        tags,
        security: secured,
        summary: 'Events as they come: server-sent events',
        description:
          'id is the number of the event; Last-Event-ID goes on behind it. At most 10 streams for one caller and 100 for all.',
        querystring: StreamQuery,
        response: { 200: Type.String(), ...refusals },
      },
    },
    async (request, reply) => {
      // A HEAD request is told that there is a stream, and gets none.
      if (request.method === 'HEAD') return reply.type(STREAM_TYPE).send('')
      const see = maySee(request)
      const { device, kind, reason } = request.query
      const stream = {
        caller: request.holder!.id,
        position: positionOf(request) ?? events.reader.latestSeq(),
        passes: (event: Event) =>
          (device === undefined || event.deviceId === device) &&
          (kind === undefined || event.kind === kind) &&
          (reason === undefined || event.reason === reason) &&
          see(event),
        write: (text: string) => void reply.raw.write(text),
        pending: () => reply.raw.writableLength,
        end: () => end(reply.raw),
        cut: () => cut(reply.raw),
        isStillIn: () => isStillIn(request),
      }
      if (!events.streams.add(stream))
        throw new Problem(eventProblems, 'streams_exceeded', 'too many streams of log are open', {
          retryAfterSeconds: 15,
        })
      reply.raw.once('close', () => events.streams.remove(stream))
      begin(reply)
    },
  )
}

function begin(reply: FastifyReply): void {
  reply.hijack()
  reply.raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': STREAM_TYPE,
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  reply.raw.write('retry: 2000\n\n')
}

/** What was written, and the end, are sent first. */
function end(raw: FastifyReply['raw']): void {
  raw.end()
  const overdue = setTimeout(() => raw.destroy(), END_MS)
  raw.once('close', () => clearTimeout(overdue))
}

/** What was not taken yet is not waited for. */
function cut(raw: FastifyReply['raw']): void {
  if (raw.writableLength > 0) raw.destroy()
  else end(raw)
}

/** What a browser sends by itself when it comes back. */
function positionOf({ headers }: FastifyRequest): number | null {
  const last = headers['last-event-id']
  return typeof last === 'string' && /^\d{1,16}$/.test(last) ? Number(last) : null
}
