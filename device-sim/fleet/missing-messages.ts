// At the end of a run: the messages that subscribers lack, by the counts of their senders. Does not know how they travelled.

import type { Stream } from './delivery-tracker.ts'
import { type Device, fill } from './device-state.ts'
import { matches, prefixOf } from './filter.ts'
import type { WorkerContext } from './worker-context.ts'

/**
 * How many messages subscribers lack now, by the QoS that they should have been delivered with. Of a stream that began within
 * `clocksDifferMs` of the subscription it is not known whether it began before: what arrives first counts.
 */
export function missingByQos(
  devices: Iterable<Device>,
  streams: readonly Stream[],
  context: WorkerContext,
  clocksDifferMs: number,
): [qos0: number, qos1: number, qos2: number] {
  const missing: [number, number, number] = [0, 0, 0]
  const byTopic = streams.toSorted((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0))
  for (const device of devices) {
    const seen = new Set<number>()
    for (const filter of device.filters) {
      for (const stream of candidates(byTopic, prefixOf(filter))) {
        if (seen.has(stream.stream) || !matches(filter, stream.topic)) continue
        seen.add(stream.stream)
        const fromStart = device.subscribedAt + clocksDifferMs < stream.firstSentAt
        // Not connected at the end: later messages are not missing, they were not subscribed to or are still queued.
        if (!device.session) context.deliveries.wasAway(device.index, false)
        const lacking = context.deliveries.lacking(device.index, stream, fromStart && device.session !== null)
        const qos = Math.min(stream.qos, grantedQos(device, filter)) as 0 | 1 | 2
        missing[qos] += lacking ?? 0
      }
    }
  }
  return missing
}

function grantedQos(device: Device, filter: string): number {
  const plan = device.group.plan.subscribe.find(one => fill(device, one.filter) === filter)
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
