// The history of the service: what its brokers and its own events counted, for charts.
import Type from 'typebox'
import { type Api, refusals, secured, time } from '../http/api.ts'
import { Nullable, OneOf, strict, Time } from '../http/schemas.ts'
import { changeKinds, type History, type HistorySpan, historySpans } from './history.ts'

const count = Type.Integer()
const HistoryResponse = Type.Object({
  span: OneOf(historySpans),
  periodSeconds: count,
  periods: Type.Array(
    Type.Object({
      at: Time,
      sessions: Nullable(Type.Number({ description: 'Connected devices on average' })),
      sessionsMax: Nullable(count),
      connected: count,
      disconnected: count,
      refused: Type.Record(Type.String(), count, { description: 'Refused connections, by reason' }),
      denied: Type.Integer({ description: 'Publishes, subscriptions and wills that a policy denied' }),
      messagesReceived: count,
      messagesSent: count,
      messagesDropped: count,
      bytesReceived: count,
      bytesSent: count,
      acknowledgementMs: Nullable(
        Type.Number({
          description: 'Mean time from a PUBLISH of QoS 1 or 2 to its acknowledgement; one of 16 is timed',
        }),
      ),
      acknowledgementMaxMs: Nullable(Type.Number()),
      routingMs: Nullable(
        Type.Number({ description: 'Mean time to route a message to all receivers; one of 16 is timed' }),
      ),
      routingMaxMs: Nullable(Type.Number()),
      changes: Type.Object(
        Object.fromEntries(changeKinds.map(kind => [kind, count])) as Record<
          (typeof changeKinds)[number],
          typeof count
        >,
      ),
    }),
  ),
})

export function historyRoutes(api: Api, { history }: { history: (span: HistorySpan) => History }): void {
  api.get(
    '/v1/history',
    {
      schema: {
        tags: ['service'],
        security: secured,
        summary: 'Sessions, connects, refusals and traffic over time',
        description:
          'An hour by minute, a day by ten minutes, a week by hour, a month by day, a year by week; the last period is under way. Written every two seconds.',
        querystring: Type.Object({ span: Type.Optional(OneOf(historySpans)) }, strict),
        response: { 200: HistoryResponse, ...refusals },
      },
    },
    async request => {
      const { span, periodMs, periods } = history(request.query.span ?? 'day')
      return {
        span,
        periodSeconds: periodMs / 1_000,
        periods: periods.map(({ at, ...figures }) => ({ at: time(at), ...figures })),
      }
    },
  )
}
