// One simulated device: connects, subscribes, publishes, sleeps, and reconnects after a drop. Its admissions and refusals are
// compared with the result that its group expects.

import { openLightweightLink } from '../links/lightweight.ts'
import type { Attempt, Incoming, LinkOptions, Session, Subscription } from '../links/session.ts'
import { backOffMs } from '../schedule.ts'
import {
  checkAdmission,
  checkRefusal,
  countReason,
  countRefusal,
  countsOf,
  recordWronglyAdmitted,
} from './admission-verdict.ts'
import { answer } from './answers.ts'
import { countArrival } from './arrivals.ts'
import { createAttemptPhases } from './attempt-phases.ts'
import { type Device, fill } from './device-state.ts'
import { misbehave, openFaultyConnection } from './faulty-connections.ts'
import type { Group } from './group.ts'
import { beginEdgeNode } from './sparkplug.ts'
import { asksForRebirth } from './sparkplug-command.ts'
import { beginTelemetry, forgetPending, publishBirths, publishOn } from './telemetry.ts'
import { willOf } from './will.ts'
import { addFinding, type WorkerContext } from './worker-context.ts'

/** One attempt, due at this time. */
export function connect(device: Device, context: WorkerContext, dueAt: number): void {
  if (context.ending || device.attempt || device.session) return
  const { group } = device
  const counts = countsOf(device, context)
  counts.connects.attempts++
  device.state = 'connecting'
  const begunAt = context.schedule.now()
  context.latencies.late.record(begunAt - dueAt)
  beginEdgeNode(device.node)
  const parts = createAttemptPhases(context, begunAt)
  const options = { ...linkOptions(device, context), onPart: parts.over }
  const attempt =
    openFaultyConnection(group.plan.fault, options, context) ?? openAttempt(group, options, context)
  device.attempt = attempt
  attempt.settled.then(({ result, session }) => {
    device.attempt = null
    if (session) {
      parts.admitted()
      onConnected(device, context, session, { dueAt, begunAt })
    } else {
      checkRefusal(device, context, result, begunAt)
      reconnectLater(device, context)
    }
  })
}

function openAttempt(group: Group, options: LinkOptions, context: WorkerContext): Attempt {
  if (group.plan.link === 'lean' || !context.openMqttJs) return openLightweightLink(options, context.schedule)
  return context.openMqttJs(options)
}

function linkOptions(device: Device, context: WorkerContext): LinkOptions {
  const { session, clockSkewMs, protocol } = device.group.plan
  const source =
    context.sources.length > 0 ? context.sources[device.index % context.sources.length] : undefined
  return {
    broker: context.broker,
    clientId: device.clientId,
    username: context.broker.username && fill(device, context.broker.username),
    password: context.broker.password && fill(device, context.broker.password),
    credentials: device.credentials,
    timeoutMs: context.connectTimeoutMs,
    keepAliveSeconds: session.keepAliveSeconds,
    protocol,
    clean: session.clean,
    sessionExpirySeconds: session.expirySeconds,
    topicAliasMax: session.topicAliasMax,
    clockSkewMs,
    ...(session.will ? { will: willOf(device, session.will) } : {}),
    ...(device.unfinished ? { unfinished: device.unfinished } : {}),
    ...(source === undefined ? {} : { localAddress: source }),
    ...(context.ports ? { ports: context.ports } : {}),
    ...(session.resumeTls
      ? {
          tlsSession: device.tlsSession,
          onTlsSession: (ticket: Buffer) => {
            device.tlsSession = ticket
          },
        }
      : {}),
  }
}

function onConnected(
  device: Device,
  context: WorkerContext,
  session: Session,
  times: { dueAt: number; begunAt: number },
): void {
  const counts = countsOf(device, context)
  const { plan } = device.group
  counts.connects.admitted++
  if (plan.protocol === 5) countReason(context, 'connack', 0)
  if (session.resumed) counts.connects.resumed++
  context.latencies.connect[device.group.index]?.record(context.schedule.now() - times.dueAt)
  // A session that the broker has forgotten takes along what it had not acknowledged.
  if (!session.present) forgetPending(device, context)
  device.session = session
  device.state = 'connected'
  device.failures = 0
  session.onClose(cause => onClosed(device, context, session, cause))
  if (device.session !== session) return
  if (context.ending) return void session.end()
  const misbehaving = misbehave(device, context, session, keptTooLong)
  // One that should be cut for what it does is let in rightly.
  if (!misbehaving) checkAdmission(device, context, session, times.begunAt)
  session.onMessage(message => receive(device, context, message, session.keepsOrder))
  for (const one of plan.subscribe) {
    subscribe(device, context, session, { ...one, filter: fill(device, one.filter) })
  }
  publishOn('connect', device, context)
  if (!device.everAdmitted) beginTelemetry(device, context)
  device.everAdmitted = true
  if (plan.dutyCycle) {
    const until = context.schedule.now() + plan.dutyCycle.awakeMs * (0.9 + 0.2 * device.random())
    context.schedule.at(until, () => fallAsleep(device, context, session))
  }
}

function keptTooLong(device: Device, context: WorkerContext, session: Session): void {
  if (device.session !== session || context.ending) return
  recordWronglyAdmitted(device, context, 'kept')
  session.cut()
}

function subscribe(
  device: Device,
  context: WorkerContext,
  session: Session,
  subscription: Subscription,
): void {
  const { filter } = subscription
  session.subscribe(subscription, code => {
    const granted = code < 0x80
    if (device.group.plan.protocol === 5) countReason(context, 'suback', code)
    context.counts.subscriptions[granted ? 'granted' : 'refused']++
    if (!granted || device.session !== session) return
    if (!device.filters.includes(filter)) device.filters.push(filter)
    if (Number.isNaN(device.subscribedAt)) device.subscribedAt = context.schedule.now()
  })
}

function receive(device: Device, context: WorkerContext, message: Incoming, keepsOrder: boolean): void {
  const now = context.schedule.now()
  const traffic = context.counts.traffic[message.qos]
  traffic.received++
  traffic.receivedBytes += message.payload.length
  context.lastArrivalAt = now
  countArrival(device, context, message, keepsOrder, now)
  answer(device, context, message, now)
  if (!context.ending && asksForRebirth(message.topic, message.payload)) publishBirths(device, context)
}

function onClosed(device: Device, context: WorkerContext, ended: Session, cause: string): void {
  if (device.session !== ended) return
  device.session = null
  if (!device.unfinished) forgetPending(device, context)
  const { clean } = device.group.plan.session
  context.deliveries.wasAway(device.index, !clean)
  if (clean) device.subscribedAt = Number.NaN
  if (device.state === 'asleep') return
  device.state = 'waiting'
  if (cause.startsWith('disconnect_'))
    context.counts.reasons[cause] = (context.counts.reasons[cause] ?? 0) + 1
  if (context.ending) return
  const { trial } = device
  if (trial && !trial.dropped) {
    trial.dropped = true
    const now = context.schedule.now()
    if (trial.answeredAt !== null && device.expect === 'refused') {
      addFinding(context.findings.cuts, { action: trial.action, ms: now - trial.answeredAt })
    }
  }
  if (device.expect === 'refused') countRefusal(device, context, 'session_cut', true)
  else {
    const { drops } = countsOf(device, context)
    drops[cause] = (drops[cause] ?? 0) + 1
  }
  reconnectLater(device, context)
}

function reconnectLater(device: Device, context: WorkerContext): void {
  const { firstMs, mostMs, jitter, never } = device.group.plan.reconnect
  device.state = never ? 'asleep' : 'waiting'
  if (never || context.ending) return
  const { random } = device
  const waitMs = backOffMs(device.failures++, { baseMs: firstMs, capMs: mostMs, jitter, random })
  context.schedule.at(context.schedule.now() + waitMs, dueAt => connect(device, context, dueAt))
}

function fallAsleep(device: Device, context: WorkerContext, session: Session): void {
  const { dutyCycle } = device.group.plan
  if (device.session !== session || !dutyCycle || context.ending) return
  publishOn('disconnect', device, context)
  device.state = 'asleep'
  void session.end()
  const until = context.schedule.now() + dutyCycle.asleepMs * (0.9 + 0.2 * device.random())
  context.schedule.at(until, dueAt => connect(device, context, dueAt))
}
