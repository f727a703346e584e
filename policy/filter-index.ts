// Topic filters as a tree of their levels, so that one question is not asked of every filter. Pure.
// Answers exactly as `contains` and `overlaps` of topic-filter.ts do: a property test holds the two against each other.
import type { QoS } from './binding.ts'
import type { TopicFilter } from './topic-filter.ts'

export type FilterIndex = {
  add(filter: TopicFilter, qosMax?: QoS): void
  /** The highest QoS of the filters that contain this one, -1 where none does. */
  covering(filter: TopicFilter): number
  /** Whether some topic is matched by this filter and one of the index. */
  overlapping(filter: TopicFilter): boolean
}

/** `ends` and `open` are the highest QoS of the filters that end here, and that go on with `#`; -1 where there is none. */
type Node = { children: Map<string, Node> | null; ends: number; open: number }

export function createFilterIndex(): FilterIndex {
  const root = newNode()

  function covering(node: Node, filter: TopicFilter, at: number): number {
    // A filter that begins with a wildcard never matches a topic that begins with `$` [MQTT-4.7.2-1].
    const closed = at === 0 && isReserved(filter[0])
    let best = closed ? -1 : node.open
    if (at === filter.length) return Math.max(best, node.ends)
    const level = filter[at]!
    if (level === '#') return best
    for (const name of level === '+' || closed ? [level] : [level, '+']) {
      if (best === 2) break
      const child = node.children?.get(name)
      if (child !== undefined) best = Math.max(best, covering(child, filter, at + 1))
    }
    return best
  }

  function overlapping(node: Node, filter: TopicFilter, at: number): boolean {
    const closed = at === 0 && isReserved(filter[0])
    if (node.open >= 0 && !closed) return true
    if (at === filter.length) return node.ends >= 0
    const level = filter[at]!
    const wild = level === '#' || level === '+'
    if (level === '#' && at > 0) return true // no node is without a filter below it
    if (!wild) {
      return (closed ? [level] : [level, '+']).some(name => {
        const child = node.children?.get(name)
        return child !== undefined && overlapping(child, filter, at + 1)
      })
    }
    for (const [name, child] of node.children ?? []) {
      if (at === 0 && isReserved(name)) continue
      if (level === '#' || overlapping(child, filter, at + 1)) return true
    }
    return false
  }

  return {
    add(filter, qosMax = 2) {
      // Every topic has a first level, so `+/#` reaches as far as `#`.
      const levels = filter.length === 2 && filter[0] === '+' && filter[1] === '#' ? ['#'] : filter
      let node = root
      for (const level of levels) {
        if (level === '#') {
          node.open = Math.max(node.open, qosMax)
          return
        }
        node.children ??= new Map()
        let child = node.children.get(level)
        if (child === undefined) {
          child = newNode()
          node.children.set(level, child)
        }
        node = child
      }
      node.ends = Math.max(node.ends, qosMax)
    },
    covering: filter => covering(root, filter, 0),
    overlapping: filter => overlapping(root, filter, 0),
  }
}

function newNode(): Node {
  return { children: null, ends: -1, open: -1 }
}

function isReserved(level: string | undefined): boolean {
  return level?.charCodeAt(0) === 36
}
