// Publishes events to MQTT topics for backends: follows the event log from the moment of the first subscription to such a topic.
// A backend that was away gets what its stored session kept; earlier events are not published.
import type { Event, EventReader } from '../../db/events/event-reader.ts'

export const EVENT_TOPICS = '$rollcall/events'

type Publish = (message: { topic: string; payload: string; qos: 1; retain: false }) => void

export type EventPublisher = {
  /** Publishes by this function from now on, where some session is subscribed. */
  start(publish: Publish): void
  /** A session was granted this subscription. */
  subscribed(filter: string): void
  stop(): void
}

const LOOK_EVERY_MS = 100
const ROWS_AT_ONCE = 500

export function createEventPublisher({
  reader,
  wanted,
}: {
  reader: EventReader
  /** Whether a stored session is subscribed to events already. */
  wanted: boolean
}): EventPublisher {
  let publish: Publish | null = null
  let timer: NodeJS.Timeout | null = null
  let position = 0
  let versionRead: number | null = null

  function begin(): void {
    position = reader.latestSeq()
    timer = setInterval(look, LOOK_EVERY_MS)
    timer.unref()
  }

  function look(): void {
    const version = reader.dataVersion()
    if (version === null || version === versionRead) return
    const events = reader.after(position, ROWS_AT_ONCE)
    for (const event of events) {
      publish?.({ topic: topicOf(event), payload: payloadOf(event), qos: 1, retain: false })
    }
    position = events.at(-1)?.seq ?? position
    if (events.length < ROWS_AT_ONCE) versionRead = version
  }

  return {
    start(given) {
      publish = given
      if (wanted) begin()
    },
    subscribed(filter) {
      if (timer === null && filter.includes(`${EVENT_TOPICS}/`)) begin()
    },
    stop() {
      if (timer !== null) clearInterval(timer)
      reader.close()
    },
  }
}

/** `-` in place of a device where it is about none. */
function topicOf({ kind, deviceId }: Event): string {
  return `${EVENT_TOPICS}/${kind}/${deviceId ?? '-'}`
}

function payloadOf(event: Event): string {
  return JSON.stringify({ ...event, at: new Date(event.at).toISOString() })
}
