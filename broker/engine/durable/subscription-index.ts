// The subscriptions of stored sessions, found by device and by the topic that they match, empty levels too [MQTT-4.7.1-3], which the
// store of aedes does not find. In memory; knows no rights and no disk.
import { createSubscriptionTree } from '../subscription-tree.ts'

/** `topic` is its filter. */
type Subscription = { topic: string; qos: 0 | 1 | 2 }
type Found = Subscription & { clientId: string }

export type SubscriptionIndex = ReturnType<typeof createSubscriptionIndex>

export function createSubscriptionIndex() {
  const byDevice = new Map<string, Map<string, Subscription>>()
  /** Of QoS 1 and 2: of QoS 0 nothing is kept for anybody. */
  const tree = createSubscriptionTree<string, Subscription>((one, other) =>
    other.qos > one.qos ? other : one,
  )

  function remove(device: string, filters: Iterable<string>): void {
    const own = byDevice.get(device)
    for (const filter of filters) if (own?.delete(filter)) tree.remove(filter, device)
    if (own?.size === 0) byDevice.delete(device)
  }

  return {
    add(device: string, subscriptions: Subscription[]): void {
      const own = byDevice.get(device) ?? new Map<string, Subscription>()
      for (const subscription of subscriptions) {
        const { topic, qos } = subscription
        own.set(topic, subscription)
        if (qos > 0) tree.add(topic, device, subscription)
        else tree.remove(topic, device)
      }
      if (own.size > 0) byDevice.set(device, own)
    },
    remove,
    clear: (device: string) => remove(device, [...(byDevice.get(device)?.keys() ?? [])]),
    of: (device: string): Subscription[] =>
      [...(byDevice.get(device)?.values() ?? [])].map(own => ({ ...own })),

    /** Of QoS 1 and 2; of a device the one with the most QoS that matches [MQTT-3.3.5-1]. */
    matching: (topic: string): Found[] =>
      Array.from(tree.matching(topic), ([clientId, subscription]) => ({ ...subscription, clientId })),

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
