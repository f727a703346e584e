// The subscriptions of stored sessions, found by device and by the topic that they match, empty levels too [MQTT-4.7.1-3], which the
// store of aedes does not find. In memory; knows no rights and no disk.
/** `topic` is its filter. */
type Subscription = { topic: string; qos: 0 | 1 | 2 }
type Found = Subscription & { clientId: string }

/** What begins so far: filters that end here, by device, and the next level of longer ones. */
type Node = { ending: Map<string, Subscription>; next: Map<string, Node> }

export type SubscriptionIndex = ReturnType<typeof createSubscriptionIndex>

export function createSubscriptionIndex() {
  const byDevice = new Map<string, Map<string, Subscription>>()
  /** Of QoS 1 and 2: of QoS 0 nothing is kept for anybody. */
  const root = newNode()

  function link(device: string, subscription: Subscription): void {
    let node = root
    for (const level of subscription.topic.split('/')) {
      const next = node.next.get(level) ?? newNode()
      node.next.set(level, next)
      node = next
    }
    node.ending.set(device, subscription)
  }

  function unlink(device: string, filter: string): void {
    const levels = filter.split('/')
    const path = [root]
    for (const level of levels) {
      const next = path.at(-1)!.next.get(level)
      if (next === undefined) return
      path.push(next)
    }
    path.at(-1)!.ending.delete(device)
    for (let at = levels.length; at > 0; at -= 1) {
      const { ending, next } = path[at]!
      if (ending.size > 0 || next.size > 0) return
      path[at - 1]!.next.delete(levels[at - 1]!)
    }
  }

  function remove(device: string, filters: Iterable<string>): void {
    const own = byDevice.get(device)
    for (const filter of filters) if (own?.delete(filter)) unlink(device, filter)
    if (own?.size === 0) byDevice.delete(device)
  }

  return {
    add(device: string, subscriptions: Subscription[]): void {
      const own = byDevice.get(device) ?? new Map<string, Subscription>()
      for (const subscription of subscriptions) {
        const { topic, qos } = subscription
        own.set(topic, subscription)
        if (qos > 0) link(device, subscription)
        else unlink(device, topic)
      }
      if (own.size > 0) byDevice.set(device, own)
    },
    remove,
    clear: (device: string) => remove(device, [...(byDevice.get(device)?.keys() ?? [])]),
    of: (device: string): Subscription[] =>
      [...(byDevice.get(device)?.values() ?? [])].map(own => ({ ...own })),

    /** Of QoS 1 and 2; all of a device that match. */
    matching(topic: string): Found[] {
      const levels = topic.split('/')
      const found: Found[] = []
      const take = ({ ending }: Node) => {
        for (const [clientId, subscription] of ending) found.push({ ...subscription, clientId })
      }
      function walk(node: Node, at: number): void {
        const { next } = node
        // No wildcard reaches into `$…` [MQTT-4.7.2-1].
        const isOpen = at > 0 || !topic.startsWith('$')
        const rest = isOpen ? next.get('#') : undefined
        if (rest !== undefined) take(rest)
        if (at === levels.length) {
          take(node)
          return
        }
        const same = next.get(levels[at]!)
        if (same !== undefined) walk(same, at + 1)
        const any = isOpen ? next.get('+') : undefined
        if (any !== undefined) walk(any, at + 1)
      }
      walk(root, 0)
      return found
    },

    *devicesOf(filter: string): Generator<string> {
      for (const [device, own] of byDevice) if (own.has(filter)) yield device
    },
    counts() {
      let subsCount = 0
      for (const own of byDevice.values()) for (const { qos } of own.values()) if (qos > 0) subsCount += 1
      return { subsCount, clientsCount: byDevice.size }
    },
  }
}

function newNode(): Node {
  return { ending: new Map(), next: new Map() }
}
