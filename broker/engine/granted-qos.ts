// With which QoS a session gets a message: the most that any of its filters was granted that match [MQTT-3.3.5-1]. Shared
// subscriptions are apart. Most sessions were granted one QoS for all their filters, and no topic is looked at.
import { compileMatcher, parseFilter } from '../../policy/topic-filter.ts'

type QoS = 0 | 1 | 2

/** Filters by their QoS, the most first; or the one QoS that all of them have. */
export type Ranked = QoS | { matches: (topic: string) => boolean; qos: QoS }[]

export type Granted = {
  /** The filters that a session was granted and has not left again. */
  filters: Map<string, QoS>
  /** Null where filters have changed since somebody asked. */
  ranked: Ranked | null
}

export function grant(granted: Granted, filter: string, qos: QoS): void {
  granted.filters.set(filter, qos)
  granted.ranked = null
}

export function withdraw(granted: Granted, filter: string): void {
  if (granted.filters.delete(filter)) granted.ranked = null
}

/** The most that may be; where nothing matches any more, that is no bound. */
export function grantedQos(granted: Granted, topic: string): QoS {
  granted.ranked ??= rank(granted.filters)
  if (typeof granted.ranked === 'number') return granted.ranked
  for (const { matches, qos } of granted.ranked) if (matches(topic)) return qos
  return 2
}

function rank(filters: Map<string, QoS>): Ranked {
  const plain = [...filters].filter(([filter]) => !filter.startsWith('$share'))
  const first = plain[0]?.[1] ?? 2
  if (plain.every(([, qos]) => qos === first)) return first
  return plain
    .map(([filter, qos]) => ({ matches: compileMatcher(parseFilter(filter) ?? []), qos }))
    .sort((one, other) => other.qos - one.qos)
}
