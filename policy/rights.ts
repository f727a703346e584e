// Who may what: policy documents bound to one device become rights that answer per topic. Pure; deny wins, default deny.
import type { Action, PolicyDocument, Statement } from './document.ts'
import { compileMatcher, contains, parseFilter, type TopicFilter } from './topic-filter.ts'

export type QoS = 0 | 1 | 2

/** Values for the variables of a policy, such as `device.id`. Absent ones void an allow and make a deny refuse all. */
export type Variables = ReadonlyMap<string, string>

export type Rights = {
  publish(topic: string, qos: QoS, retain: boolean): boolean
  will(topic: string, qos: QoS, retain: boolean): boolean
  /** Needs one allow that contains the filter; a deny that contains it refuses, a deny that overlaps filters per message. */
  subscribe(filter: string): boolean
  receive(topic: string): boolean
}

type Rule = { filter: TopicFilter; matches: (topic: string) => boolean; qosMax: QoS }
type Rules = { allow: Rule[]; deny: Rule[] }

/** The one who has no rights: nothing allowed. */
export const noRights: Rights = {
  publish: () => false,
  will: () => false,
  subscribe: () => false,
  receive: () => false,
}

/** Binds documents to the values of one device. Gives null where a deny names a value that is missing or unsafe: refuse then. */
export function bindRights(policies: readonly PolicyDocument[], values: Variables): Rights | null {
  const rules: Record<Action, Rules> = {
    publish: { allow: [], deny: [] },
    subscribe: { allow: [], deny: [] },
    receive: { allow: [], deny: [] },
    retain: { allow: [], deny: [] },
    will: { allow: [], deny: [] },
  }
  for (const statement of policies.flatMap(policy => policy.statements)) {
    for (const topic of statement.topics) {
      const rule = bindRule(topic, statement, values)
      if (rule === null && statement.effect === 'deny') return null
      if (rule === null) continue
      for (const action of statement.actions) rules[action][statement.effect].push(rule)
    }
  }
  const mayRetain = (topic: string) => permits(rules.retain, topic, 0)
  return {
    publish: (topic, qos, retain) =>
      !reserved(topic) && permits(rules.publish, topic, qos) && (!retain || mayRetain(topic)),
    will: (topic, qos, retain) =>
      !reserved(topic) && permits(rules.will, topic, qos) && (!retain || mayRetain(topic)),
    subscribe: filter => maySubscribe(rules.subscribe, filter),
    receive: topic =>
      // An allowed subscription carries the right to receive; a deny of either takes it away.
      (permits(rules.subscribe, topic, 0) || permits(rules.receive, topic, 0)) &&
      !denies(rules.subscribe, topic) &&
      !denies(rules.receive, topic),
  }
}

/** `$…` topics are the broker's own and its cluster bus: closed to devices whatever a policy says. */
function reserved(topic: string): boolean {
  return topic.charCodeAt(0) === 36
}

function permits(rules: Rules, topic: string, qos: QoS): boolean {
  return rules.allow.some(rule => qos <= rule.qosMax && rule.matches(topic)) && !denies(rules, topic)
}

function denies(rules: Rules, topic: string): boolean {
  return rules.deny.some(rule => rule.matches(topic))
}

function maySubscribe(rules: Rules, text: string): boolean {
  const filter = parseFilter(text)
  if (filter === null || reserved(text)) return false
  if (rules.deny.some(rule => contains(rule.filter, filter))) return false
  return rules.allow.some(rule => contains(rule.filter, filter))
}

function bindRule(topic: string, statement: Statement, values: Variables): Rule | null {
  let unsafe = false
  const bound = topic.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    const value = values.get(name)
    if (value === undefined || !isSafeValue(value)) unsafe = true
    return value ?? ''
  })
  const filter = unsafe ? null : parseFilter(bound)
  if (filter === null) return null
  // A deny holds for every QoS: `qosMax` narrows what is allowed.
  const qosMax = statement.effect === 'deny' ? 2 : (statement.when?.qosMax ?? 2)
  return { filter, matches: compileMatcher(filter), qosMax }
}

/** A value may not change the shape of the filter it is put into. */
function isSafeValue(value: string): boolean {
  return value !== '' && !value.startsWith('$') && !/[/+#]/.test(value) && !value.includes('\0')
}
