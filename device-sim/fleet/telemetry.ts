// How a device publishes: on its own beat or on an occasion, numbered, late never hidden.
// Does not know how the device got its session.
import { jittered } from '../schedule.ts'
import { countReason } from './admission-verdict.ts'
import { gridOf } from './beat-grid.ts'
import { withBenchHeaders } from './bench-headers.ts'
import type { Stream } from './delivery-tracker.ts'
import { type Device, fill, type Pending } from './device-state.ts'
import type { Publisher } from './group.ts'
import { type Given, givenBy } from './message-properties.ts'
import { type Promised, withHeader } from './payload.ts'
import { beginRebirth } from './sparkplug.ts'
import type { WorkerContext } from './worker-context.ts'

const BUFFERED_BYTES_MAX = 262_144
const UNACKNOWLEDGED_MAX = 10_000

/** Begins the beats of a device: the first message falls anywhere within the first interval. */
export function beginTelemetry(device: Device, context: WorkerContext): void {
  for (const [index, publisher] of device.group.publishers.entries()) {
    const { everyMs, jitter, on, messagesMax } = publisher.plan
    if (on !== null) continue
    const ownMax = messagesMax === null ? Number.POSITIVE_INFINITY : shareOf(messagesMax, device)
    const gridMs = gridOf(everyMs, context.beatsPerMs)
    const constant: Constant = { topic: null, stream: null, given: publisher.given }
    const beat = (dueAt: number): number | null => {
      if (context.ending || (device.turns?.[index] ?? 0) >= ownMax) return null
      publish(device, context, publisher, index, constant, dueAt)
      // The next beat follows from when this one was due, never from when it happened: lateness must not hide.
      return Math.round((dueAt + jittered(everyMs, jitter, device.random)) / gridMs) * gridMs
    }
    const dueAt = context.schedule.now() + everyMs * device.random()
    context.schedule.repeat(Math.ceil(dueAt / gridMs) * gridMs, beat)
  }
}

/** What falls to a device of so many messages of its whole group. */
function shareOf(messages: number, { group, n }: Device): number {
  const { count, first } = group.plan
  const place = Number(n) - first
  return Math.floor(messages / count) + (place < messages % count ? 1 : 0)
}

/** The messages of an occasion, at once. */
export function publishOn(occasion: 'connect' | 'disconnect', device: Device, context: WorkerContext): void {
  for (const [index, publisher] of device.group.publishers.entries()) {
    if (publisher.plan.on !== occasion || device.expect === 'refused') continue
    const constant = { topic: null, stream: null, given: publisher.given }
    publish(device, context, publisher, index, constant, context.schedule.now())
  }
}

/** An edge node of Sparkplug sends its births again, those of its devices too; no data comes between. */
export function publishBirths(device: Device, context: WorkerContext): void {
  beginRebirth(device.node)
  for (const [index, publisher] of device.group.publishers.entries()) {
    const { on, payload } = publisher.plan
    if (on !== 'connect' || !/BIRTH$/.test(payload.sparkplug?.message ?? '')) continue
    const constant = { topic: null, stream: null, given: publisher.given }
    publish(device, context, publisher, index, constant, context.schedule.now())
  }
}

/** What stays the same from message to message of one device, where it does. */
type Constant = { topic: string | null; stream: Stream | null; given: Given | null }

function publish(
  device: Device,
  context: WorkerContext,
  publisher: Publisher,
  index: number,
  constant: Constant,
  dueAt: number,
): void {
  const { plan } = publisher
  if (plan.on === null && (device.group.paused || device.state === 'asleep' || device.expect === 'refused'))
    return
  if (!mayPublish(device)) {
    context.counts.traffic[plan.qos].missed++
    return
  }
  if (device.group.plan.protocol === 5) {
    constant.given ??= givenBy(plan.properties, device.group.plan.link, text => fill(device, text))
  }
  device.turns ??= []
  const turn = (device.turns[index] ?? 0) + 1
  device.turns[index] = turn
  let { topic } = constant
  if (topic === null) {
    topic = fill(device, publisher.topicOf?.(turn - 1, device.random) ?? plan.topic)
    if (!publisher.topicOf) constant.topic = topic
  }
  const made = publisher.generate(
    {
      device: device.id,
      n: device.n,
      sequence: turn,
      clock: dueAt + device.group.plan.clockSkewMs,
      random: device.random,
    },
    device.node,
  )
  const { headers } = device.group.plan
  const body = headers.length === 0 ? made : withBenchHeaders(headers, turn - 1, made)
  const { qos, retain, numbered } = plan
  const bytes = plan.payload.random?.bytes
  const message = { topic, body, bytes, qos, retain, numbered, given: constant.given }
  send(device, context, message, dueAt, constant)
}

type Message = {
  topic: string
  body: string | Buffer
  /** Of the whole payload, its number included, where that fits. */
  bytes: number | undefined
  qos: 0 | 1 | 2
  retain: boolean
  numbered: boolean
  /** Null below version 5. */
  given: Given | null
}
export function send(
  device: Device,
  context: WorkerContext,
  message: Message,
  dueAt: number,
  constant?: Constant,
): void {
  const { session } = device
  if (!session) return
  const { limits } = session
  const { topic, body, given } = message
  // [MQTT-3.2.2-11], [MQTT-3.2.2-14]
  const qos = message.qos > limits.qosMax ? limits.qosMax : message.qos
  const retain = message.retain && limits.retain
  const now = context.schedule.now()
  context.counts.traffic[qos].sent++
  context.latencies.late.record(now - dueAt)
  const stream = message.numbered ? (constant?.stream ?? streamOf(device, context, message, now)) : null
  if (constant?.topic && constant.stream === null) constant.stream = stream
  const sequence = stream ? ++stream.sent : 0
  const promise = given && promiseOf(given, now)
  const stamp = { run: context.runId, stream: stream?.stream ?? 0, sequence, dueAt, promise }
  const payload = stream && typeof body === 'string' ? withHeader(stamp, body, message.bytes) : body
  context.counts.traffic[qos].sentBytes += Buffer.byteLength(payload)
  const properties = given?.properties ?? null
  if (qos === 0) {
    session.publish({ topic, payload, qos, retain, properties }, awaitsNothing)
    return
  }
  const pending: Pending = { stream, sequence, qos }
  device.pending ??= new Set()
  device.pending.add(pending)
  session.publish({ topic, payload, qos, retain, properties }, code => {
    if (!device.pending?.delete(pending)) return
    if (given) countReason(context, qos === 1 ? 'puback' : 'pubrec', code)
    if (code >= 0x80) {
      context.counts.traffic[qos].refused++
      excuse(pending)
      return
    }
    context.counts.traffic[qos].acknowledged++
    context.latencies.acknowledge.record(context.schedule.now() - dueAt)
  })
}

/** At QoS 0 nothing is acknowledged. */
function awaitsNothing(): void {}

function promiseOf({ digests, properties }: Given, sentAt: number): Promised {
  return { ...digests, expirySeconds: properties.expirySeconds, sentAt }
}

/** The session is over: unacknowledged messages stay unacknowledged. */
export function forgetPending(device: Device, context: WorkerContext): void {
  for (const pending of device.pending ?? []) {
    context.counts.traffic[pending.qos].unacknowledged++
    excuse(pending)
  }
  device.pending = null
}

/** The broker does not owe its delivery. */
function excuse({ stream, sequence }: Pending): void {
  if (stream && stream.unacknowledged.length < UNACKNOWLEDGED_MAX) stream.unacknowledged.push(sequence)
}

export function mayPublish(device: Device): boolean {
  const { session, pending, group } = device
  const inFlightMax = group.plan.session.inFlightMax
  if (!session || (pending && pending.size >= Math.min(inFlightMax, session.limits.inFlightMax))) return false
  return session.bufferedBytes() <= BUFFERED_BYTES_MAX
}

/** One for each topic and QoS; its messages are numbered from 1. */
function streamOf(device: Device, context: WorkerContext, { topic, qos }: Message, now: number): Stream {
  device.streams ??= new Map()
  const name = `${qos}${topic}`
  const known = device.streams.get(name)
  if (known) return known
  const stream = { stream: context.nextStream(), topic, qos, sent: 0, firstSentAt: now, unacknowledged: [] }
  device.streams.set(name, stream)
  return stream
}
