// The one index of topics: subscribers, live, stored or in a group, found by topic; and retained messages, found by filter
// (MQTT 5 §4.7). In memory; knows no rights and no disk.

import type { RetainedMessage } from '../message.ts'
import type { Subscription } from '../state.ts'

/**
 * A level of the tree: subscribers to exactly this filter, the message retained here, and the next levels. Most nodes have one: it stands in
 * `level` and `child`, where a map would take as much again as all the rest.
 */
type Node<Subscriber> = {
  subscribers: Map<Subscriber, Subscription> | null
  retained: RetainedMessage | null
  level: string | null
  child: Node<Subscriber> | null
  others: Map<string, Node<Subscriber>> | null
}

export type TopicIndex<Subscriber> = ReturnType<typeof createTopicIndex<Subscriber>>

export function createTopicIndex<Subscriber>() {
  type Found = (subscriber: Subscriber, subscription: Subscription) => void
  const root = newNode<Subscriber>()
  const messages = new Map<string, RetainedMessage>()

  function nodeOf(levels: string[]): Node<Subscriber> {
    let node = root
    for (const level of levels) {
      let next = childOf(node, level)
      if (next === undefined) {
        next = newNode()
        adopt(node, level, next)
      }
      node = next
    }
    return node
  }

  /** Takes something from a node, and the nodes that hold nothing then. */
  function clear(path: string, take: (node: Node<Subscriber>) => void): void {
    const levels = path.split('/')
    const way = [root]
    for (const level of levels) {
      const next = childOf(way.at(-1)!, level)
      if (next === undefined) return
      way.push(next)
    }
    take(way.at(-1)!)
    for (let at = levels.length; at > 0; at -= 1) {
      const { subscribers, retained, level, others } = way[at]!
      if (subscribers !== null || retained !== null || level !== null || others !== null) return
      disown(way[at - 1]!, levels[at - 1]!)
    }
  }

  function walk(node: Node<Subscriber>, levels: string[], at: number, isOpen: boolean, found: Found): void {
    const isLeaf = node.level === null && node.others === null
    if (!isLeaf && isOpen) {
      const rest = childOf(node, '#')
      if (rest !== undefined) take(rest, found)
    }
    if (at === levels.length) {
      take(node, found)
      return
    }
    if (isLeaf) return
    const same = childOf(node, levels[at]!)
    if (same !== undefined) walk(same, levels, at + 1, true, found)
    if (!isOpen) return
    const any = childOf(node, '+')
    if (any !== undefined) walk(any, levels, at + 1, true, found)
  }

  /** Null where a level holds nothing: the caller can pause, however little matches. */
  function* retainedBelow(node: Node<Subscriber>): Generator<RetainedMessage | null> {
    yield node.retained
    for (const [, next] of childrenOf(node)) yield* retainedBelow(next)
  }

  function* retainedMatching(
    node: Node<Subscriber>,
    levels: string[],
    at: number,
  ): Generator<RetainedMessage | null> {
    if (at === levels.length) {
      yield node.retained
      return
    }
    const level = levels[at]!
    // No wildcard at the beginning reaches into `$…` [MQTT-4.7.2-1].
    if (level === '#') {
      if (at > 0) yield* retainedBelow(node)
      else for (const [name, next] of childrenOf(node)) if (!name.startsWith('$')) yield* retainedBelow(next)
    } else if (level === '+') {
      for (const [name, next] of childrenOf(node)) {
        yield null
        if (at > 0 || !name.startsWith('$')) yield* retainedMatching(next, levels, at + 1)
      }
    } else {
      const next = childOf(node, level)
      if (next !== undefined) yield* retainedMatching(next, levels, at + 1)
    }
  }

  return {
    /** The same again changes its options. */
    subscribe(filter: string, subscriber: Subscriber, subscription: Subscription): void {
      const node = nodeOf(filter.split('/'))
      node.subscribers ??= new Map()
      node.subscribers.set(subscriber, subscription)
    },
    unsubscribe(filter: string, subscriber: Subscriber): void {
      clear(filter, node => {
        node.subscribers?.delete(subscriber)
        if (node.subscribers?.size === 0) node.subscribers = null
      })
    },
    /** Calls with every subscription that matches. */
    match(topic: string, found: Found): void {
      walk(root, topic.split('/'), 0, topic.charCodeAt(0) !== DOLLAR, found)
    },

    retain(message: RetainedMessage): void {
      nodeOf(message.topic.split('/')).retained = message
      messages.set(message.topic, message)
    },
    unretain(topic: string): void {
      if (!messages.delete(topic)) return
      clear(topic, node => {
        node.retained = null
      })
    },
    retained: (topic: string) => messages.get(topic),
    allRetained: () => messages.values(),
    /** Also gives null where it has looked and found nothing. */
    retainedMatching: (filter: string) => retainedMatching(root, filter.split('/'), 0),
  }
}

const DOLLAR = 36

function childOf<Subscriber>(node: Node<Subscriber>, level: string): Node<Subscriber> | undefined {
  return node.level === level ? node.child! : node.others?.get(level)
}

function* childrenOf<Subscriber>({
  level,
  child,
  others,
}: Node<Subscriber>): Generator<[string, Node<Subscriber>]> {
  if (level !== null) yield [level, child!]
  if (others !== null) yield* others
}

function adopt<Subscriber>(node: Node<Subscriber>, level: string, child: Node<Subscriber>): void {
  if (node.level === null) {
    node.level = level
    node.child = child
    return
  }
  node.others ??= new Map()
  node.others.set(level, child)
}

function disown<Subscriber>(node: Node<Subscriber>, level: string): void {
  if (node.level === level) {
    node.level = null
    node.child = null
    return
  }
  node.others?.delete(level)
  if (node.others?.size === 0) node.others = null
}

function newNode<Subscriber>(): Node<Subscriber> {
  return { subscribers: null, retained: null, level: null, child: null, others: null }
}

function take<Subscriber>(
  { subscribers }: Node<Subscriber>,
  found: (subscriber: Subscriber, subscription: Subscription) => void,
): void {
  if (subscribers !== null)
    for (const [subscriber, subscription] of subscribers) found(subscriber, subscription)
}
