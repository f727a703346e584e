// How a device publishes: on its own beat, numbered, late never hidden. And how it answers.
// Refuses to know how the device got its session.
import { jittered } from '../pace.ts'
import { type Actor, fill } from './actor.ts'
import type { Publisher } from './group.ts'
import { countReason } from './judgement.ts'
import type { Stream } from './ledger.ts'
import { type Given, givenBy } from './message-properties.ts'
import { type Promised, stamped } from './payload.ts'
import type { World } from './world.ts'

const IN_FLIGHT_MAX = 64
const BUFFERED_BYTES_MAX = 262_144
const UNACKNOWLEDGED_MAX = 10_000
/** Beats fall on multiples of this, so that devices that are due together wake the process once. */
const GRID_MS = 4

/** Begins the beats of a device: the first message falls anywhere within the first interval. */
export function beginTelemetry(actor: Actor, world: World): void {
  for (const [index, publisher] of actor.group.publishers.entries()) {
    const { everyMs, jitter } = publisher.plan
    const gridMs = Math.min(GRID_MS, everyMs / 10)
    const constant: Constant = { topic: null, stream: null, given: publisher.given }
    const beat = (dueAt: number): number | null => {
      if (world.ending) return null
      publish(actor, world, publisher, index, constant, dueAt)
      // The next beat follows from when this one was due, never from when it happened: lateness must not hide.
      return Math.round((dueAt + jittered(everyMs, jitter, actor.random)) / gridMs) * gridMs
    }
    const dueAt = world.schedule.now() + everyMs * actor.random()
    world.schedule.repeat(Math.ceil(dueAt / gridMs) * gridMs, beat)
  }
}

/** What stays the same from message to message of one device, where it does. */
type Constant = { topic: string | null; stream: Stream | null; given: Given | null }

function publish(
  actor: Actor,
  world: World,
  publisher: Publisher,
  index: number,
  constant: Constant,
  dueAt: number,
): void {
  const { plan } = publisher
  if (actor.group.paused || actor.state === 'asleep' || actor.expect === 'refused') return
  if (!mayPublish(actor)) {
    world.counts.traffic[plan.qos].missed++
    return
  }
  if (actor.group.plan.protocol === 5) {
    constant.given ??= givenBy(plan.properties, actor.group.plan.link, text => fill(actor, text))
  }
  actor.turns ??= []
  const turn = (actor.turns[index] ?? 0) + 1
  actor.turns[index] = turn
  let { topic } = constant
  if (topic === null) {
    topic = fill(actor, publisher.topicOf?.(turn - 1, actor.random) ?? plan.topic)
    if (!publisher.topicOf) constant.topic = topic
  }
  const body = publisher.generate({
    device: actor.id,
    n: actor.n,
    sequence: turn,
    clock: dueAt + actor.group.plan.clockSkewMs,
    random: actor.random,
  })
  const { qos, retain, numbered } = plan
  const message = { topic, body, qos, retain, numbered, given: constant.given }
  send(actor, world, message, dueAt, constant)
}

/** Answers a message that was received at `receivedAt`. */
export function answer(actor: Actor, world: World, receivedAt: number): void {
  const how = actor.group.plan.answer
  if (!how) return
  world.schedule.at(receivedAt + how.afterMs, dueAt => {
    if (world.ending || !mayPublish(actor)) return
    world.counts.answered++
    const topic = fill(actor, how.topic)
    const given = actor.group.plan.protocol === 5 ? givenBy(null, 'lean', text => text) : null
    const message = { topic, body: '{}', qos: how.qos, retain: false, numbered: true, given }
    send(actor, world, message, dueAt)
  })
}

type Message = {
  topic: string
  body: string
  qos: 0 | 1 | 2
  retain: boolean
  numbered: boolean
  /** Null below version 5. */
  given: Given | null
}
/** Sent and not acknowledged yet. */
export type Pending = { stream: Stream | null; sequence: number; qos: 1 | 2 }

function send(actor: Actor, world: World, message: Message, dueAt: number, constant?: Constant): void {
  const { session } = actor
  if (!session) return
  const { limits } = session
  const { topic, body, given } = message
  // [MQTT-3.2.2-11], [MQTT-3.2.2-14]
  const qos = message.qos > limits.qosMax ? limits.qosMax : message.qos
  const retain = message.retain && limits.retain
  const now = world.schedule.now()
  world.counts.traffic[qos].sent++
  world.latencies.late.record(now - dueAt)
  const stream = message.numbered ? (constant?.stream ?? streamOf(actor, world, message, now)) : null
  if (constant?.topic) constant.stream = stream
  const sequence = stream ? ++stream.sent : 0
  const promise = given && promiseOf(given, now)
  const stamp = { run: world.runId, stream: stream?.stream ?? 0, sequence, dueAt, promise }
  const payload = stream ? stamped(stamp, body) : body
  const properties = given?.properties ?? null
  if (qos === 0) {
    session.publish({ topic, payload, qos, retain, properties }, () => {})
    return
  }
  const pending: Pending = { stream, sequence, qos }
  actor.pending ??= new Set()
  actor.pending.add(pending)
  session.publish({ topic, payload, qos, retain, properties }, code => {
    if (!actor.pending?.delete(pending)) return
    if (given) countReason(world, qos === 1 ? 'puback' : 'pubrec', code)
    if (code >= 0x80) {
      world.counts.traffic[qos].refused++
      excuse(pending)
      return
    }
    world.counts.traffic[qos].acknowledged++
    world.latencies.acknowledge.record(world.schedule.now() - dueAt)
  })
}

function promiseOf({ digests, properties }: Given, sentAt: number): Promised {
  return { ...digests, expirySeconds: properties.expirySeconds, sentAt }
}

/** The session is over: what was not acknowledged will not be. */
export function forgetPending(actor: Actor, world: World): void {
  for (const pending of actor.pending ?? []) {
    world.counts.traffic[pending.qos].unacknowledged++
    excuse(pending)
  }
  actor.pending = null
}

/** Nobody promised to deliver it. */
function excuse({ stream, sequence }: Pending): void {
  if (stream && stream.unacknowledged.length < UNACKNOWLEDGED_MAX) stream.unacknowledged.push(sequence)
}

function mayPublish(actor: Actor): boolean {
  const { session, pending } = actor
  if (!session || (pending && pending.size >= Math.min(IN_FLIGHT_MAX, session.limits.inFlightMax)))
    return false
  return session.bufferedBytes() <= BUFFERED_BYTES_MAX
}

/** One for each topic and QoS: what is sent on it is numbered from 1. */
function streamOf(actor: Actor, world: World, { topic, qos }: Message, now: number): Stream {
  actor.streams ??= new Map()
  const name = `${qos}${topic}`
  const known = actor.streams.get(name)
  if (known) return known
  const stream = { stream: world.nextStream(), topic, qos, sent: 0, firstSentAt: now, unacknowledged: [] }
  actor.streams.set(name, stream)
  return stream
}
