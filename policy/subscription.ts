// What a SUBSCRIBE asks for, normalized before anyone judges it: the group of a shared subscription apart from its filter,
// and which filters are closed to everybody. Pure.
import { parseFilter, type TopicFilter } from './topic-filter.ts'

/** `group` is null where the subscription is not shared. */
export type Subscription = { group: string | null; text: string; filter: TopicFilter }

/** Reads a filter as it stands in SUBSCRIBE. Null where it is none, or a shared one without group or filter. */
export function parseSubscription(asked: string): Subscription | null {
  if (!asked.startsWith('$share')) return plain(asked, null)
  // MQTT 5 §4.8.2: $share/{ShareName}/{filter}; the name holds no wildcard. Anything else that begins so is no filter.
  const [, group, text] = /^\$share\/([^/+#\0]+)\/(.+)$/s.exec(asked) ?? []
  return group === undefined || text === undefined ? null : plain(text, group)
}

function plain(text: string, group: string | null): Subscription | null {
  const filter = parseFilter(text)
  return filter === null ? null : { group, text, filter }
}

/**
 * `$…` is the broker's own: closed to devices whatever a policy says, but for the broker's figures below `$SYS/broker`,
 * which a policy may open by naming them. No wildcard reaches into `$…` [MQTT-4.7.2-1].
 */
export function isReserved(filter: TopicFilter): boolean {
  const [first = '', second] = filter
  if (first.charCodeAt(0) !== 36) return false
  return !(first === '$SYS' && second === 'broker')
}

/** Nobody publishes into `$…`. */
export function isReservedTopic(topic: string): boolean {
  return topic.charCodeAt(0) === 36
}
