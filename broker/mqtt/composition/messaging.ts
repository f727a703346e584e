// The way of a message: the sessions it is for, how it reaches each, what is retained, and what waited for a device.
import { createRetainedMessages } from '../routing/retained.ts'
import { createRouter, type Subscriber } from '../routing/router.ts'
import { createShowThrottle } from '../routing/show-throttle.ts'
import { createTopicIndex } from '../routing/topic-index.ts'
import { createDelivery } from '../session/delivery.ts'
import { createQueueReplay } from '../session/queue-replay.ts'
import type { StoredStateAuthorization } from '../session/stored-state-authorization.ts'
import type { Foundation } from './foundation.ts'
import type { Reactions, Transport } from './transport.ts'

export type Messaging = ReturnType<typeof createMessaging>

export function createMessaging(
  foundation: Foundation,
  { drain, output }: Transport,
  later: Pick<Reactions, 'endSlow'> & { storedState(): StoredStateAuthorization },
) {
  const { settings, store, traffic, events, now, boundsOf, nextSequence, cluster } = foundation
  const delivery = createDelivery({
    settings,
    store,
    output,
    traffic,
    events,
    now,
    isDraining: drain.begun,
    // Not while a message is being routed: the will of an ending session is a message, too.
    endSlow: client => queueMicrotask(() => later.endSlow(client)),
  })
  const index = createTopicIndex<Subscriber>()
  const { storedState } = later
  const retained = createRetainedMessages({
    throttle: createShowThrottle(boundsOf),
    index,
    store,
    delivery,
    output,
    storedState,
    all: { messages: settings.retainedMessagesMax, bytes: settings.retainedBytesMax },
    boundsOf: deviceId => boundsOf(storedState().retainsAsBackend(deviceId)).retained,
    nextSequence,
    onChanged: events.retainedChanged,
    now,
  })
  const router = createRouter({
    index,
    retained,
    store,
    delivery,
    output,
    bounds: settings,
    nextSequence,
    onForgotten: clientId => events.dropped('shared', clientId),
    routed: events.routed,
    others: cluster?.router ?? null,
  })
  const queueReplay = createQueueReplay({
    store,
    output,
    delivery,
    isDraining: drain.begun,
    dropped: events.dropped,
  })
  return { delivery, index, retained, router, queueReplay }
}
