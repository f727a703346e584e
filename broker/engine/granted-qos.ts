// With which QoS a session gets a message: the most that any of its filters was granted that match [MQTT-3.3.5-1]. Shared
// subscriptions are apart. Most sessions were granted one QoS for all their filters, and no topic is looked at.
import { createSubscriptionTree, type SubscriptionTree } from './subscription-tree.ts'

type QoS = 0 | 1 | 2

export type Granted = {
  /** The filters that a session was granted and has not left again. */
  filters: Map<string, QoS>
  /** How many of them were granted each QoS, shared ones not counted. */
  counts: [number, number, number]
  /** What all of them weigh, as `weighFilter` has it. */
  bytes: number
  /** By topic; null until they first differ in QoS. */
  tree: SubscriptionTree<'own', QoS> | null
}

export function newGranted(): Granted {
  return { filters: new Map(), counts: [0, 0, 0], bytes: 0, tree: null }
}

export function grant(granted: Granted, filter: string, qos: QoS): void {
  const { filters, counts, tree } = granted
  if (!filters.has(filter)) granted.bytes += weighFilter(filter)
  if (!isShared(filter)) {
    const before = filters.get(filter)
    if (before !== undefined) counts[before] -= 1
    counts[qos] += 1
    tree?.add(filter, 'own', qos)
  }
  filters.set(filter, qos)
}

export function withdraw(granted: Granted, filter: string): void {
  const before = granted.filters.get(filter)
  if (before === undefined) return
  granted.filters.delete(filter)
  granted.bytes -= weighFilter(filter)
  if (isShared(filter)) return
  granted.counts[before] -= 1
  granted.tree?.remove(filter, 'own')
}

/** The most that may be; where nothing matches any more, that is no bound. */
export function grantedQos(granted: Granted, topic: string): QoS {
  const [zero, one, two] = granted.counts
  if (zero === 0 && one === 0) return 2
  if (two === 0 && one === 0) return 0
  if (two === 0 && zero === 0) return 1
  granted.tree ??= treeOf(granted.filters)
  return granted.tree.matching(topic).get('own') ?? 2
}

function treeOf(filters: Map<string, QoS>): SubscriptionTree<'own', QoS> {
  const tree = createSubscriptionTree<'own', QoS>((one, other) => (other > one ? other : one))
  for (const [filter, qos] of filters) if (!isShared(filter)) tree.add(filter, 'own', qos)
  return tree
}

/** Bytes that a filter takes in memory at most: texts, entries of maps, and a node for each level in each tree that it is in. */
export function weighFilter(filter: string): number {
  return FILTER_BYTES + 2 * filter.length + LEVEL_BYTES * filter.split('/').length
}

const FILTER_BYTES = 768
const LEVEL_BYTES = 280

function isShared(filter: string): boolean {
  return filter.startsWith('$share')
}
