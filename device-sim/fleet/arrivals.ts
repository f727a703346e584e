// What an arriving message says by its number, its properties or its emqtt-bench headers: lost, duplicated, late, altered.
// Counts; changes nothing. Does not know how it came.
import type { Incoming } from '../links/session.ts'
import { readBenchHeaders } from './bench-headers.ts'
import type { Device } from './device-state.ts'
import { fidelityOf } from './message-properties.ts'
import { readHeader } from './payload.ts'
import type { WorkerContext } from './worker-context.ts'

const TOPICS_COUNTED_MAX = 10_000

export function countArrival(
  device: Device,
  context: WorkerContext,
  message: Incoming,
  keepsOrder: boolean,
  now: number,
): void {
  const { payload, qos, properties } = message
  const traffic = context.counts.traffic[qos]
  if (device.group.plan.headers.length > 0) {
    countByHeaders(device, context, message)
    return
  }
  const stamp = readHeader(payload, context.runId)
  if (!stamp) return
  context.latencies.deliver.record(now - stamp.dueAt)
  // What may expire is not owed to one that was away, as at QoS 0.
  const keptFor = stamp.promise?.expirySeconds == null ? qos : 0
  const arrival = context.deliveries.arrived(device.index, stamp.stream, stamp.sequence, keptFor)
  if (arrival === 'duplicate') traffic.duplicated++
  if (arrival === 'late') traffic.reordered++
  const { altered, expired } = fidelityOf(stamp.promise, properties, keepsOrder, now)
  if (altered) traffic.altered++
  if (expired) traffic.expired++
}

/** Its publishers may be another program: what is not numbered by ours is counted from one message to the next of a topic. */
function countByHeaders(device: Device, context: WorkerContext, { topic, payload, qos }: Incoming): void {
  const traffic = context.counts.traffic[qos]
  const read = readBenchHeaders(device.group.plan.headers, payload)
  if (!read) return
  const { count, sentAt } = read
  if (sentAt !== null) context.latencies.deliver.record(Date.now() - sentAt)
  if (count === null) return
  device.counters ??= new Map()
  const before = device.counters.get(topic)
  if (before === undefined && device.counters.size >= TOPICS_COUNTED_MAX) return
  if (before !== undefined && count === before) traffic.duplicated++
  else if (before !== undefined && count < before) traffic.reordered++
  else {
    if (before !== undefined) traffic.lost += count - before - 1
    device.counters.set(topic, count)
  }
}
