// What every part of the engine stands on: settings, the clock, counted events, the store, the order of messages.

import type { Redirect } from '../connection/redirect.ts'
import { createDeviceBounds } from '../device-bounds.ts'
import type { EngineOptions } from '../interface.ts'
import { createSessionStore } from '../persistence/session-store.ts'
import type { Client } from '../state.ts'
import { countingEvents, newTraffic } from '../traffic.ts'

export type Foundation = ReturnType<typeof createFoundation>

export function createFoundation({
  settings,
  sessions,
  sessionFile,
  rightsOf,
  now,
  cluster = null,
  ...given
}: EngineOptions) {
  const traffic = newTraffic()
  const events = countingEvents(given.events, traffic)
  let sequence = 0
  return {
    settings,
    sessions,
    rightsOf,
    now,
    cluster,
    traffic,
    events,
    /** Of connections that were admitted and have not ended. */
    *clients(): Generator<Client> {
      for (const { client } of sessions.all()) if (client !== null) yield client
    },
    /** Where clients are sent instead; null where they may stay. */
    redirect: { to: null as Redirect | null },
    boundsOf: createDeviceBounds(settings),
    /** It orders messages over all queues. */
    nextSequence: () => ++sequence,
    sequence: () => sequence,
    setSequence(value: number): void {
      sequence = value
    },
    store: createSessionStore({
      file: sessionFile,
      bounds: settings,
      nextRowId: cluster?.nextRowId ?? null,
      now,
      onDropped: events.dropped,
      onLost: events.sessionsUnkept,
      onKept: events.sessionsKept,
    }),
  }
}
