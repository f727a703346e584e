// How many copies of a message one session gets, and with which QoS and Subscription Identifiers (MQTT 5 §3.3.4). Pure: knows no
// connection and no disk.
import type { Message, QoS } from '../message.ts'
import type { Delivery } from '../session/delivery.ts'
import type { Matched, SessionState, Subscription } from '../state.ts'

/**
 * So many identifiers get a copy each. Where more match, one copy has all of them: a session with a thousand overlapping filters costs
 * the publisher, the disk and the queue a few messages for each, not a thousand.
 */
export const COPIES_MAX = 8

const NONE: readonly number[] = []

/** Notes that a subscription matches; adds its session to `matched` where it is the first one of it for this `mark`. */
export function note(
  state: SessionState,
  subscription: Subscription,
  message: Message,
  mark: number,
  matched: SessionState[],
): void {
  const { qos, noLocal, retainAsPublished, identifier } = subscription
  if (noLocal && message.publisher === state.clientId) return // [MQTT-3.8.3-3]
  if (state.mark !== mark) {
    state.mark = mark
    state.matchedQos = null
    state.matchedAsPublished = false
    state.matchedByIdentifier = null
    matched.push(state)
  }
  if (identifier !== null) {
    state.matchedByIdentifier ??= []
    addIdentified(state.matchedByIdentifier, subscription)
    return
  }
  if (state.matchedQos === null || qos > state.matchedQos) state.matchedQos = qos
  if (retainAsPublished) state.matchedAsPublished = true
}

/** Filters may share an identifier: they are one copy. Beyond `COPIES_MAX` nobody looks for the same one again. */
function addIdentified(known: Matched[], subscription: Subscription): void {
  const at =
    known.length > COPIES_MAX
      ? -1
      : known.findIndex(({ identifier }) => identifier === subscription.identifier)
  if (at < 0) known.push(subscription)
  else known[at] = together([known[at]!, subscription])
}

/**
 * Adds the copies of a message for a session, as it was matched last: one for its subscriptions without an identifier, with the most QoS of
 * these [MQTT-3.3.4-2], and one for each identifier, with the QoS of its subscription [MQTT-3.3.4-5], or one with all [MQTT-3.3.4-4].
 */
export function addCopies(state: SessionState, message: Message, deliveries: Delivery[]): void {
  const { matchedQos, matchedAsPublished, matchedByIdentifier: identified } = state
  if (identified !== null && identified.length > COPIES_MAX) {
    const plain = { qos: matchedQos ?? 0, retainAsPublished: matchedAsPublished, identifier: null }
    const identifiers = identified.flatMap(identifiersOf)
    deliveries.push(copyOf(state, message, together([plain, ...identified]), identifiers))
    return
  }
  for (const each of identified ?? []) deliveries.push(copyOf(state, message, each, identifiersOf(each)))
  if (matchedQos !== null) {
    const plain = { qos: matchedQos, retainAsPublished: matchedAsPublished }
    deliveries.push(copyOf(state, message, plain, NONE))
  }
}

function copyOf(
  state: SessionState,
  message: Message,
  { qos, retainAsPublished }: Omit<Matched, 'identifier'>,
  identifiers: readonly number[],
): Delivery {
  // [MQTT-3.3.1-9], but for a subscriber that asked for it as published [MQTT-3.3.1-13].
  const isRetained = message.retain && retainAsPublished
  return newDelivery(state, Math.min(qos, message.qos) as QoS, isRetained, identifiers)
}

function together(all: readonly Matched[]): Matched {
  const { identifier } = all[0]!
  const both = { qos: 0 as QoS, retainAsPublished: false, identifier }
  for (const { qos, retainAsPublished } of all) {
    if (qos > both.qos) both.qos = qos
    if (retainAsPublished) both.retainAsPublished = true
  }
  return both
}

export function identifiersOf({ identifier }: Pick<Matched, 'identifier'>): readonly number[] {
  return identifier === null ? NONE : [identifier]
}

export function newDelivery(
  state: SessionState,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[],
): Delivery {
  return { state, qos, retain, identifiers, shared: null, messageId: 0, isStored: false }
}
