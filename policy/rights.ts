// Rights: policy documents bound to one device become rights that answer per topic. Pure; deny wins, default deny.
import {
  type BoundStatement,
  bindStatements,
  limitsOf,
  type QoS,
  refusingAll,
  type Variables,
} from './binding.ts'
import type { Action, PolicyDocument } from './document.ts'
import { grants, isReserved, isReservedTopic, parseSubscription } from './subscription.ts'
import { compileMatcher, contains, type TopicFilter } from './topic-filter.ts'

export type { QoS, Variables } from './binding.ts'

export type Rights = {
  publish(topic: string, qos: QoS, retain: boolean): boolean
  will(topic: string, qos: QoS, retain: boolean): boolean
  /**
   * Needs one allow that contains the filter; a deny that contains it refuses, a deny that overlaps filters per message.
   * `$share/GROUP/FILTER` is judged as FILTER.
   */
  subscribe(filter: string): boolean
  receive(topic: string): boolean
  /** What nothing that it asks for may exceed, whatever the topic; absent where nothing is known of it. */
  limits?: SessionLimits
}

/** `sessionExpiryMaxSeconds` is null for as long as it asks. */
type SessionLimits = { qosMax: QoS; retains: boolean; sessionExpiryMaxSeconds: number | null }

const EVERYTHING: TopicFilter = ['#']

type Rule = { filter: TopicFilter; matches: (topic: string) => boolean; qosMax: QoS }
type Rules = { allow: Rule[]; deny: Rule[] }

/** No rights: nothing is allowed. */
export const noRights: Rights = {
  publish: () => false,
  will: () => false,
  subscribe: () => false,
  receive: () => false,
}

/** Binds documents to the values of one device. Gives null where a deny names a value that is missing or unsafe: refuse then. */
export function bindRights(policies: readonly PolicyDocument[], values: Variables): Rights | null {
  return rightsOf(bindStatements(policies, values), limitsOf(policies).sessionExpiryMaxSeconds)
}

/** The rights that bound statements give together; null as `bindRights`. */
export function rightsOf(
  statements: readonly BoundStatement[],
  sessionExpiryMaxSeconds: number | null = null,
): Rights | null {
  if (refusingAll(statements) !== null) return null
  const rules: Record<Action, Rules> = {
    publish: { allow: [], deny: [] },
    subscribe: { allow: [], deny: [] },
    receive: { allow: [], deny: [] },
    retain: { allow: [], deny: [] },
    will: { allow: [], deny: [] },
  }
  for (const { effect, actions, qosMax, topics } of statements) {
    for (const { filter } of topics) {
      if (filter === null) continue
      const rule = { filter, matches: compileMatcher(filter), qosMax }
      for (const action of actions) rules[action][effect].push(rule)
    }
  }
  const mayRetain = (topic: string) => permits(rules.retain, topic, 0)
  return {
    publish: (topic, qos, retain) =>
      !isReservedTopic(topic) && permits(rules.publish, topic, qos) && (!retain || mayRetain(topic)),
    will: (topic, qos, retain) =>
      !isReservedTopic(topic) && permits(rules.will, topic, qos) && (!retain || mayRetain(topic)),
    subscribe: filter => maySubscribe(rules.subscribe, filter),
    receive: topic =>
      // An allowed subscription carries the right to receive; a deny of either takes it away.
      (allows(rules.subscribe, topic, 0) || allows(rules.receive, topic, 0)) &&
      !denies(rules.subscribe, topic) &&
      !denies(rules.receive, topic),
    limits: {
      qosMax: mostOf([...rules.publish.allow, ...rules.will.allow]),
      retains:
        rules.retain.allow.length > 0 &&
        !rules.retain.deny.some(({ filter }) => contains(filter, EVERYTHING)),
      sessionExpiryMaxSeconds,
    },
  }
}

/** A device that may publish nothing learns it from each refusal, not from a limit. */
function mostOf(rules: readonly Rule[]): QoS {
  if (rules.length === 0) return 2
  return rules.reduce<QoS>((most, { qosMax }) => (qosMax > most ? qosMax : most), 0)
}

function permits(rules: Rules, topic: string, qos: QoS): boolean {
  return allows(rules, topic, qos) && !denies(rules, topic)
}

// Loops, not `some`: this runs for every message, and a closure each costs as much as the comparison.
function allows({ allow }: Rules, topic: string, qos: QoS): boolean {
  for (let at = 0; at < allow.length; at += 1) {
    const rule = allow[at]!
    if (qos <= rule.qosMax && rule.matches(topic)) return true
  }
  return false
}

function denies({ deny }: Rules, topic: string): boolean {
  for (let at = 0; at < deny.length; at += 1) if (deny[at]!.matches(topic)) return true
  return false
}

function maySubscribe(rules: Rules, text: string): boolean {
  const subscription = parseSubscription(text)
  if (subscription === null) return false
  const { filter } = subscription
  if (isReserved(filter)) return false
  if (rules.deny.some(rule => contains(rule.filter, filter))) return false
  return rules.allow.some(rule => grants(rule.filter, filter))
}
