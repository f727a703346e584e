// How an event looks on the wire: in pages, in streams, in webhooks.
import Type, { type Static } from 'typebox'
import { kinds } from '../../db/events/event-kind.ts'
import type { Event } from '../../db/events/event-reader.ts'
import { Nullable, OneOf, Time } from '../http/schemas.ts'

export const EventResponse = Type.Object({
  seq: Type.Integer(),
  at: Time,
  kind: OneOf(kinds),
  deviceId: Nullable(Type.String()),
  fingerprint: Nullable(Type.String()),
  reason: Nullable(Type.String()),
  node: Nullable(Type.String()),
  detail: Type.Record(Type.String(), Type.Unknown()),
})

export function toEventResponse(event: Event): Static<typeof EventResponse> {
  return { ...event, at: new Date(event.at).toISOString() }
}

/** As the stream writes it: JSON holds no line break. */
export function streamText(event: Event): string {
  return `id: ${event.seq}\nevent: ${event.kind}\ndata: ${JSON.stringify(toEventResponse(event))}\n\n`
}
