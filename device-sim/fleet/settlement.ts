// At the end: which messages subscribers lack, by what senders say they sent. Refuses to know how any of it travelled.
import { type Actor, fill } from './actor.ts'
import { matches, prefixOf } from './filter.ts'
import type { Stream } from './ledger.ts'
import type { World } from './world.ts'

/** Adds what is missing to the counts of the QoS that it should have been delivered with. */
export function settle(actors: Iterable<Actor>, streams: readonly Stream[], world: World): void {
  const byTopic = streams.toSorted((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0))
  for (const actor of actors) {
    const seen = new Set<number>()
    for (const filter of actor.filters) {
      for (const stream of candidates(byTopic, prefixOf(filter))) {
        if (seen.has(stream.stream) || !matches(filter, stream.topic)) continue
        seen.add(stream.stream)
        const fromStart = actor.subscribedAt < stream.firstSentAt
        // Gone at the end: what was sent since is not missing, it is not asked for or still queued.
        if (!actor.session) world.ledger.wasAway(actor.index, false)
        const lacking = world.ledger.lacking(actor.index, stream, fromStart && actor.session !== null)
        const qos = Math.min(stream.qos, grantedQos(actor, filter)) as 0 | 1 | 2
        world.counts.traffic[qos].lost += lacking ?? 0
      }
    }
  }
}

function grantedQos(actor: Actor, filter: string): number {
  const plan = actor.group.plan.subscribe.find(one => fill(actor, one.filter) === filter)
  return plan?.qos ?? 0
}

/** The streams whose topic begins with `prefix`, by halving. */
function* candidates(byTopic: readonly Stream[], prefix: string): Generator<Stream> {
  let low = 0
  let high = byTopic.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((byTopic[middle] as Stream).topic < prefix) low = middle + 1
    else high = middle
  }
  for (let at = low; at < byTopic.length; at++) {
    const stream = byTopic[at] as Stream
    if (!stream.topic.startsWith(prefix)) return
    yield stream
  }
}
