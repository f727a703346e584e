// Topic filters as a tree of their levels (MQTT 3.1.1 §4.7), each with who subscribed to it: a topic finds every subscriber once, however
// many of its filters match. Pure; knows neither sessions nor rights.

/**
 * What begins so far: subscribers whose filter ends here, and the next level of longer filters; null where there are none. Most nodes
 * have one: it stands in `level` and `child`, where a map would take as much again as all the rest. `only` is who every filter from
 * here on is of, null where they are of several; `best` the best value among them, or one that was there before.
 */
type Node<Subscriber, Value> = {
  ending: Map<Subscriber, Value> | null
  level: string | null
  child: Node<Subscriber, Value> | null
  others: Map<string, Node<Subscriber, Value>> | null
  only: Subscriber | null
  best: Value
}

export type SubscriptionTree<Subscriber, Value> = {
  /** In place of what this subscriber had under this filter. */
  add(filter: string, subscriber: Subscriber, value: Value): void
  get(filter: string, subscriber: Subscriber): Value | undefined
  remove(filter: string, subscriber: Subscriber): void
  /**
   * The subscribers whose filters match, each with one value: where several match, what `better` makes of two. No wildcard reaches into
   * `$…` [MQTT-4.7.2-1]; `+` matches an empty level, and `a/#` the topic `a` [MQTT-4.7.1-2] [MQTT-4.7.1-3].
   */
  matching(topic: string): Map<Subscriber, Value>
}

/** `better` gives one of two values, the first where they are as good. */
export function createSubscriptionTree<Subscriber extends object | string, Value>(
  better: (one: Value, other: Value) => Value,
): SubscriptionTree<Subscriber, Value> {
  type Own = Node<Subscriber, Value>
  type Branch = Omit<Own, 'only' | 'best'>
  const root: Branch = { ending: null, level: null, child: null, others: null }

  function childOf(node: Branch, level: string): Own | undefined {
    return node.level === level ? node.child! : node.others?.get(level)
  }

  function adopt(node: Branch, level: string, child: Own): void {
    if (node.level === null) {
      node.level = level
      node.child = child
      return
    }
    node.others ??= new Map()
    node.others.set(level, child)
  }

  function find(filter: string): Branch | undefined {
    let node: Branch | undefined = root
    for (const level of filter.split('/')) node = node === undefined ? node : childOf(node, level)
    return node
  }

  function take(node: Pick<Own, 'ending'>, found: Map<Subscriber, Value>): void {
    if (node.ending === null) return
    for (const [subscriber, value] of node.ending) {
      const before = found.get(subscriber)
      found.set(subscriber, before === undefined ? value : better(before, value))
    }
  }

  /** Whether no filter from here on can add to what was found: one subscriber's overlapping filters are left at the first. */
  function isSettled({ only, best }: Own, found: Map<Subscriber, Value>): boolean {
    const before = only === null ? undefined : found.get(only)
    return before !== undefined && better(before, best) === before
  }

  function walk(node: Branch, levels: string[], at: number, found: Map<Subscriber, Value>): void {
    const isOpen = at > 0 || !levels[0]!.startsWith('$')
    if (at === levels.length) take(node, found)
    if (node.level === null && node.others === null) return
    const rest = isOpen ? childOf(node, '#') : undefined
    if (rest !== undefined) take(rest, found)
    if (at === levels.length) return
    const same = childOf(node, levels[at]!)
    if (same !== undefined && !isSettled(same, found)) walk(same, levels, at + 1, found)
    const any = isOpen ? childOf(node, '+') : undefined
    if (any !== undefined && !isSettled(any, found)) walk(any, levels, at + 1, found)
  }

  return {
    add(filter, subscriber, value) {
      let node: Branch = root
      for (const level of filter.split('/')) {
        let next = childOf(node, level)
        if (next === undefined) {
          next = { ending: null, level: null, child: null, others: null, only: subscriber, best: value }
          adopt(node, level, next)
        } else {
          if (next.only !== subscriber) next.only = null
          next.best = better(next.best, value)
        }
        node = next
      }
      node.ending ??= new Map()
      node.ending.set(subscriber, value)
    },
    get: (filter, subscriber) => find(filter)?.ending?.get(subscriber),
    remove(filter, subscriber) {
      const levels = filter.split('/')
      const path: Branch[] = [root]
      for (const level of levels) {
        const next = childOf(path.at(-1)!, level)
        if (next === undefined) return
        path.push(next)
      }
      const end = path.at(-1)!
      end.ending?.delete(subscriber)
      if (end.ending?.size === 0) end.ending = null
      for (let at = levels.length; at > 0; at -= 1) {
        const { ending, level, others } = path[at]!
        if (ending !== null || level !== null || others !== null) return
        const above = path[at - 1]!
        if (above.level === levels[at - 1]) {
          above.level = null
          above.child = null
        } else {
          above.others?.delete(levels[at - 1]!)
          if (above.others?.size === 0) above.others = null
        }
      }
    },
    matching(topic) {
      const found = new Map<Subscriber, Value>()
      walk(root, topic.split('/'), 0, found)
      return found
    },
  }
}
