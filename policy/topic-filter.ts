// The algebra of MQTT topic filters (MQTT 3.1.1 §4.7): does a filter match a topic, contain a filter, overlap with one.
// Pure and exact. Knows nothing of effects or devices.

export type TopicFilter = readonly string[]

const WILDCARD = /[+#]/

/** Splits a filter into levels. A wildcard must stand alone in its level and `#` must be last; null where it does not. */
export function parseFilter(text: string): TopicFilter | null {
  if (text.length === 0 || text.includes('\0')) return null
  const levels = text.split('/')
  if (!WILDCARD.test(text)) return levels
  for (const [index, level] of levels.entries()) {
    if (level.length > 1 && WILDCARD.test(level)) return null // [MQTT-4.7.1-2] [MQTT-4.7.1-3]
    if (level === '#' && index !== levels.length - 1) return null
  }
  return levels
}

/**
 * A test for topics, compiled once: it runs for every rule on every message. `literal/#` and literals, the common shapes,
 * compare strings; others walk the topic level by level and leave at the first that differs. Nothing is split.
 */
export function compileMatcher(filter: TopicFilter): (topic: string) => boolean {
  const open = filter.at(-1) === '#'
  const body = open ? filter.slice(0, -1) : filter
  if (body.length > 0 && !body.includes('+')) {
    const literal = body.join('/')
    if (!open) return topic => topic === literal
    return topic =>
      topic.startsWith(literal) &&
      (topic.length === literal.length || topic.charCodeAt(literal.length) === SLASH)
  }
  const wild = body[0] === undefined || body[0] === '+'
  return topic => {
    if (wild && topic.charCodeAt(0) === DOLLAR) return false // [MQTT-4.7.2-1]
    let from = 0
    for (let at = 0; at < body.length; at += 1) {
      if (from > topic.length) return false
      const level = body[at]!
      let end: number
      if (level === '+') {
        end = topic.indexOf('/', from)
        if (end < 0) end = topic.length
      } else {
        end = from + level.length
        if (!topic.startsWith(level, from)) return false
        if (end < topic.length && topic.charCodeAt(end) !== SLASH) return false
      }
      from = end + 1
    }
    return open || from > topic.length
  }
}

const SLASH = 47
const DOLLAR = 36

/** Whether every topic that `inner` matches is matched by `outer` too. A topic is a filter without wildcards. */
export function contains(outer: TopicFilter, inner: TopicFilter): boolean {
  if (!reaches(outer, inner)) return false
  // Every topic has a first level, so `+/#` reaches as far as `#`.
  if (outer.length === 2 && outer[0] === '+' && outer[1] === '#') return true
  for (const [index, level] of outer.entries()) {
    if (level === '#') return true
    const other = inner[index]
    if (other === undefined || other === '#') return false
    if (level !== '+' && level !== other) return false
  }
  return inner.length === outer.length
}

/** Whether some topic is matched by both. */
export function overlaps(one: TopicFilter, other: TopicFilter): boolean {
  if (!reaches(one, other) || !reaches(other, one)) return false
  const length = Math.max(one.length, other.length)
  for (let index = 0; index < length; index += 1) {
    const [a, b] = [one[index], other[index]]
    if (a === '#' || b === '#') return true
    if (a === undefined || b === undefined) return false
    if (a !== '+' && b !== '+' && a !== b) return false
  }
  return true
}

/** A filter that begins with a wildcard never matches a topic that begins with `$` [MQTT-4.7.2-1]. */
function reaches(outer: TopicFilter, inner: TopicFilter): boolean {
  const wild = outer[0] === '#' || outer[0] === '+'
  return !(wild && inner[0]?.startsWith('$'))
}
