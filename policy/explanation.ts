// Which statement decides a question, for operators before they change a policy. Pure.
// Must answer as `rights.ts` does: a property test holds the two against each other.
import { type BoundStatement, type QoS, refusingAll } from './binding.ts'
import type { Action } from './document.ts'
import { grants, isReserved, isReservedTopic, parseSubscription } from './subscription.ts'
import { contains, parseFilter, type TopicFilter } from './topic-filter.ts'

/** `topic` is a topic, or for `subscribe` a filter. */
export type Question = { action: Action; topic: string; qos: QoS; retain: boolean }

export const verdicts = [
  'allowed',
  'denied',
  'nothing_allows',
  'qos_exceeded',
  'retain_not_allowed',
  'reserved',
  'not_a_topic',
  'variable_missing',
] as const
export type Verdict = (typeof verdicts)[number]

/** `decidedBy` names the statement and its topic as written; null where it is that no statement allows. */
export type Decision = {
  allowed: boolean
  verdict: Verdict
  decidedBy: { policy: string; statement: number; topic: string } | null
}

export function explainRight(statements: readonly BoundStatement[], question: Question): Decision {
  const refusal = refusingAll(statements)
  if (refusal !== null) {
    const topic = refusal.topics.find(({ filter }) => filter === null)?.written ?? ''
    return answer('variable_missing', { policy: refusal.policy, statement: refusal.index, topic })
  }
  const { action, topic } = question
  if (action === 'subscribe') {
    const subscription = parseSubscription(topic)
    if (subscription === null) return answer('not_a_topic', null)
    if (isReserved(subscription.filter)) return answer('reserved', null)
    return decide(statements, ['subscribe'], subscription.filter, 0, grants)
  }
  const levels = parseFilter(topic)
  if (levels === null || /[+#]/.test(topic)) return answer('not_a_topic', null)
  // An allowed subscription carries the right to receive; a deny of either takes it away.
  if (action === 'receive') return decide(statements, ['subscribe', 'receive'], levels, 0)
  if (action === 'retain') return decide(statements, ['retain'], levels, 0)
  if (isReservedTopic(topic)) return answer('reserved', null)
  const sent = decide(statements, [action], levels, question.qos)
  if (!sent.allowed || !question.retain) return sent
  const kept = decide(statements, ['retain'], levels, 0)
  return kept.verdict === 'nothing_allows' ? answer('retain_not_allowed', null) : kept
}

/** A topic is a filter without wildcards, so that one containment answers for both. */
function decide(
  statements: readonly BoundStatement[],
  actions: readonly Action[],
  asked: TopicFilter,
  qos: QoS,
  covers = contains,
): Decision {
  const fitting = statements
    .filter(statement => statement.actions.some(action => actions.includes(action)))
    .flatMap(statement =>
      statement.topics
        .filter(
          ({ filter }) =>
            filter !== null && (statement.effect === 'allow' ? covers : contains)(filter, asked),
        )
        .map(({ written }) => ({
          effect: statement.effect,
          qosMax: statement.qosMax,
          by: { policy: statement.policy, statement: statement.index, topic: written },
        })),
    )
  const denying = fitting.find(({ effect }) => effect === 'deny')
  if (denying !== undefined) return answer('denied', denying.by)
  const allowing = fitting.find(({ qosMax }) => qos <= qosMax)
  if (allowing !== undefined) return answer('allowed', allowing.by)
  const narrower = fitting[0]
  return narrower === undefined ? answer('nothing_allows', null) : answer('qos_exceeded', narrower.by)
}

function answer(verdict: Verdict, decidedBy: Decision['decidedBy']): Decision {
  return { allowed: verdict === 'allowed', verdict, decidedBy }
}
