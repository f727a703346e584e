// Which topics a subscription is for. MQTT 3.1.1 §4.7. Pure.

/** True where the filter matches; shared subscriptions match nothing: one of many gets each message. */
export function matches(filter: string, topic: string): boolean {
  if (filter.startsWith('$share/')) return false
  const want = filter.split('/')
  const have = topic.split('/')
  // [MQTT-4.7.2-1]
  if (topic.startsWith('$') && (want[0] === '#' || want[0] === '+')) return false
  for (const [index, level] of want.entries()) {
    if (level === '#') return true
    if (index >= have.length || (level !== '+' && level !== have[index])) return false
  }
  return want.length === have.length
}

/** The text that every matching topic begins with. */
export function prefixOf(filter: string): string {
  const wildcard = filter.search(/[+#]/)
  return wildcard < 0 ? filter : filter.slice(0, wildcard).replace(/\/$/, '')
}
