// One simulated device: connects, is judged by what should become of it, listens, sleeps, comes back after a drop.
// Plain data and functions, since there are thousands. Refuses to know how many others there are.

import { misbehave, openWire } from '../faults/wire.ts'
import { openLeanLink } from '../links/lean.ts'
import { openLink as openMqttJsLink } from '../links/mqttjs.ts'
import {
  type Attempt,
  type Credentials,
  type Incoming,
  type LinkOptions,
  nothingUnfinished,
  type Session,
  type Subscription,
  type Unfinished,
} from '../links/session.ts'
import { backOffMs } from '../pace.ts'
import { createRandom, seedOf } from '../random.ts'
import type { Expectation } from '../results/summary.ts'
import { filled } from '../scenario/topic.ts'
import type { Group } from './group.ts'
import { countReason, countRefusal, countsOf, judgeAdmission, judgeRefusal, wrongly } from './judgement.ts'
import type { Stream } from './ledger.ts'
import { fidelityOf } from './message-properties.ts'
import { stampOf } from './payload.ts'
import { answer, beginTelemetry, forgetPending, type Pending } from './telemetry.ts'
import { note, type World } from './world.ts'

/** What the parent says of a device. `index` is its place in the whole fleet. */
export type Part = {
  index: number
  group: number
  n: string
  id: string
  clientId: string
  credentials: Credentials | null
}

export type Actor = {
  index: number
  group: Group
  id: string
  n: string
  clientId: string
  credentials: Credentials | null
  state: 'idle' | 'connecting' | 'connected' | 'waiting' | 'asleep'
  session: Session | null
  attempt: Attempt | null
  failures: number
  random: () => number
  expect: Expectation
  /** The fault or the action that `expect` follows from. */
  why: string
  /** What an operator does to it at this time, and what became of its session since. */
  trial: Trial | null
  everAdmitted: boolean
  /** Since when it holds its subscriptions, and the filters. */
  subscribedAt: number
  filters: string[]
  turns: number[] | null
  streams: Map<string, Stream> | null
  pending: Set<Pending> | null
  tlsSession: Buffer | null
  /** Where the session is kept: what the link finishes when it is back. */
  unfinished: Unfinished | null
}

export type Trial = { action: number; answeredAt: number | null; dropped: boolean }

export function createActor(part: Part, group: Group, world: World): Actor {
  const { id, n } = part
  const { link, session } = group.plan
  return {
    index: part.index,
    group,
    id,
    n,
    clientId: part.clientId,
    credentials: part.credentials && withSharedIssuers(part.credentials),
    state: 'idle',
    session: null,
    attempt: null,
    failures: 0,
    random: createRandom(seedOf(world.seed, part.index)),
    expect: group.plan.expect,
    why: group.plan.fault ?? '',
    trial: null,
    everAdmitted: false,
    subscribedAt: Number.NaN,
    filters: [],
    turns: null,
    streams: null,
    pending: null,
    tlsSession: null,
    unfinished: link === 'lean' && !session.clean ? nothingUnfinished() : null,
  }
}

/** What a template becomes for this device. */
export function fill({ id, n, group }: Actor, template: string): string {
  const { name, attributes } = group.plan
  return template.includes('$') ? filled(template, { device: id, n, group: name, attributes }) : template
}

const issuersOnce = new Map<string, string>()
const ISSUERS_MAX = 64

/** Thousands of devices have the same chain: its text is kept once. */
export function withSharedIssuers(credentials: Credentials): Credentials {
  const { issuers } = credentials
  const known = issuersOnce.get(issuers)
  if (known === undefined && issuersOnce.size < ISSUERS_MAX) issuersOnce.set(issuers, issuers)
  return { ...credentials, issuers: known ?? issuers }
}

/** One attempt, due at this time. */
export function connect(actor: Actor, world: World, dueAt: number): void {
  if (world.ending || actor.attempt || actor.session) return
  const { group } = actor
  const counts = countsOf(actor, world)
  counts.connects.attempts++
  actor.state = 'connecting'
  const begunAt = world.schedule.now()
  world.latencies.late.record(begunAt - dueAt)
  const options = linkOptions(actor, world)
  const attempt = openWire(group.plan.fault, options, world) ?? openAttempt(group, options, world)
  actor.attempt = attempt
  attempt.settled.then(({ seen, session }) => {
    actor.attempt = null
    if (session) welcome(actor, world, session, { dueAt, begunAt })
    else {
      judgeRefusal(actor, world, seen, begunAt)
      comeBackLater(actor, world)
    }
  })
}

function openAttempt(group: Group, options: LinkOptions, world: World): Attempt {
  return group.plan.link === 'lean' ? openLeanLink(options, world.schedule) : openMqttJsLink(options)
}

function linkOptions(actor: Actor, world: World): LinkOptions {
  const { session, clockSkewMs, protocol } = actor.group.plan
  const source = world.sources.length > 0 ? world.sources[actor.index % world.sources.length] : undefined
  return {
    broker: world.broker,
    clientId: actor.clientId,
    username: world.broker.username && fill(actor, world.broker.username),
    password: world.broker.password && fill(actor, world.broker.password),
    credentials: actor.credentials,
    timeoutMs: world.connectTimeoutMs,
    keepAliveSeconds: session.keepAliveSeconds,
    protocol,
    clean: session.clean,
    sessionExpirySeconds: session.expirySeconds,
    topicAliasMax: session.topicAliasMax,
    clockSkewMs,
    ...(actor.unfinished ? { unfinished: actor.unfinished } : {}),
    ...(source === undefined ? {} : { localAddress: source }),
    ...(session.resumeTls
      ? {
          tlsSession: actor.tlsSession,
          onTlsSession: (ticket: Buffer) => {
            actor.tlsSession = ticket
          },
        }
      : {}),
  }
}

function welcome(
  actor: Actor,
  world: World,
  session: Session,
  times: { dueAt: number; begunAt: number },
): void {
  const counts = countsOf(actor, world)
  const { plan } = actor.group
  counts.connects.admitted++
  if (plan.protocol === 5) countReason(world, 'connack', 0)
  if (session.resumed) counts.connects.resumed++
  world.latencies.connect[actor.group.index]?.record(world.schedule.now() - times.dueAt)
  // A session that the broker has forgotten takes along what it had not acknowledged.
  if (!session.present) forgetPending(actor, world)
  actor.session = session
  actor.state = 'connected'
  actor.failures = 0
  session.onClose(cause => farewell(actor, world, session, cause))
  if (actor.session !== session) return
  if (world.ending) return void session.end()
  const misbehaving = misbehave(actor, world, session, keptTooLong)
  // One that should be cut for what it does is let in rightly.
  if (!misbehaving) judgeAdmission(actor, world, session, times.begunAt)
  session.onMessage(message => receive(actor, world, message, session.keepsOrder))
  for (const one of plan.subscribe) {
    subscribe(actor, world, session, { ...one, filter: fill(actor, one.filter) })
  }
  if (!actor.everAdmitted) beginTelemetry(actor, world)
  actor.everAdmitted = true
  if (plan.dutyCycle) {
    const until = world.schedule.now() + plan.dutyCycle.awakeMs * (0.9 + 0.2 * actor.random())
    world.schedule.at(until, () => fallAsleep(actor, world, session))
  }
}

function keptTooLong(actor: Actor, world: World, session: Session): void {
  if (actor.session !== session || world.ending) return
  wrongly(actor, world, 'kept')
  session.cut()
}

function subscribe(actor: Actor, world: World, session: Session, subscription: Subscription): void {
  const { filter } = subscription
  session.subscribe(subscription, code => {
    const granted = code < 0x80
    if (actor.group.plan.protocol === 5) countReason(world, 'suback', code)
    world.counts.subscriptions[granted ? 'granted' : 'refused']++
    if (!granted || actor.session !== session) return
    if (!actor.filters.includes(filter)) actor.filters.push(filter)
    if (Number.isNaN(actor.subscribedAt)) actor.subscribedAt = world.schedule.now()
  })
}

function receive(actor: Actor, world: World, message: Incoming, keepsOrder: boolean): void {
  const { payload, qos, properties } = message
  const now = world.schedule.now()
  const traffic = world.counts.traffic[qos]
  traffic.received++
  world.lastArrivalAt = now
  const stamp = stampOf(payload, world.runId)
  if (stamp) {
    world.latencies.deliver.record(now - stamp.dueAt)
    // What may expire is not owed to one that was away, as at QoS 0.
    const keptFor = stamp.promise?.expirySeconds == null ? qos : 0
    const arrival = world.ledger.arrived(actor.index, stamp.stream, stamp.sequence, keptFor)
    if (arrival === 'duplicate') traffic.duplicated++
    if (arrival === 'late') traffic.reordered++
    const { altered, expired } = fidelityOf(stamp.promise, properties, keepsOrder, now)
    if (altered) traffic.altered++
    if (expired) traffic.expired++
  }
  answer(actor, world, now)
}

function farewell(actor: Actor, world: World, ended: Session, cause: string): void {
  if (actor.session !== ended) return
  actor.session = null
  if (!actor.unfinished) forgetPending(actor, world)
  const { clean } = actor.group.plan.session
  world.ledger.wasAway(actor.index, !clean)
  if (clean) actor.subscribedAt = Number.NaN
  if (actor.state === 'asleep') return
  actor.state = 'waiting'
  if (cause.startsWith('disconnect_')) world.counts.reasons[cause] = (world.counts.reasons[cause] ?? 0) + 1
  if (world.ending) return
  const { trial } = actor
  if (trial && !trial.dropped) {
    trial.dropped = true
    const now = world.schedule.now()
    if (trial.answeredAt !== null && actor.expect === 'refused') {
      note(world.findings.cuts, { action: trial.action, ms: now - trial.answeredAt })
    }
  }
  if (actor.expect === 'refused') countRefusal(actor, world, 'session_cut', true)
  else {
    const { drops } = countsOf(actor, world)
    drops[cause] = (drops[cause] ?? 0) + 1
  }
  comeBackLater(actor, world)
}

function comeBackLater(actor: Actor, world: World): void {
  const { firstMs, mostMs, jitter, never } = actor.group.plan.reconnect
  actor.state = never ? 'asleep' : 'waiting'
  if (never || world.ending) return
  const { random } = actor
  const waitMs = backOffMs(actor.failures++, { baseMs: firstMs, capMs: mostMs, jitter, random })
  world.schedule.at(world.schedule.now() + waitMs, dueAt => connect(actor, world, dueAt))
}

function fallAsleep(actor: Actor, world: World, session: Session): void {
  const { dutyCycle } = actor.group.plan
  if (actor.session !== session || !dutyCycle || world.ending) return
  actor.state = 'asleep'
  void session.end()
  const until = world.schedule.now() + dutyCycle.asleepMs * (0.9 + 0.2 * actor.random())
  world.schedule.at(until, dueAt => connect(actor, world, dueAt))
}
