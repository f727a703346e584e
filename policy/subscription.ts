// What a SUBSCRIBE asks for, normalized before anyone judges it: the group of a shared subscription apart from its filter,
// and which filters are closed to everybody. Pure.
import { contains, parseFilter, type TopicFilter } from './topic-filter.ts'

/** What of `$…` a policy may open. */
const opened: Readonly<Record<string, readonly string[]>> = {
  $SYS: ['broker', 'brokers'],
  $rollcall: ['events'],
}

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
 * `$…` is the broker's own: closed to devices whatever a policy says, but for figures below `$SYS/broker` and, of each of
 * several brokers, `$SYS/brokers`, and events below `$rollcall/events`, which a policy may open by naming them, not by `$SYS/#`. No wildcard reaches into `$…`
 * [MQTT-4.7.2-1].
 */
export function isReserved(filter: TopicFilter): boolean {
  const [first = '', second] = filter
  if (first.charCodeAt(0) !== 36) return false
  return !(Object.hasOwn(opened, first) && second !== undefined && opened[first]?.includes(second))
}

/** Whether an allow grants a filter: it contains it, and where the filter is one of the broker's own it names them. */
export function grants(allow: TopicFilter, asked: TopicFilter): boolean {
  return (
    contains(allow, asked) &&
    (asked[0]?.charCodeAt(0) !== 36 || (allow[0] === asked[0] && allow[1] === asked[1]))
  )
}

/** Nobody publishes into `$…`. */
export function isReservedTopic(topic: string): boolean {
  return topic.charCodeAt(0) === 36
}
