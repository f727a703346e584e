// Events on topics, for backends: follows the event log and publishes what comes, once somebody has ever asked for it.
// Whoever was away is given what a stored session keeps for him; nothing from before.
import type { Event, EventReader } from '../../db/events/event-reader.ts'

export const EVENT_TOPICS = '$rollcall/events'

export type EventPublisher = {
  /** Somebody was granted this subscription. */
  subscribed(filter: string): void
  stop(): void
}

const LOOK_EVERY_MS = 100
const ROWS_AT_ONCE = 500

export function createEventPublisher(options: {
  reader: EventReader
  /** Whether a stored session waits for events already. */
  wanted: boolean
  publish(message: { topic: string; payload: string; qos: 1; retain: false }): void
}): EventPublisher {
  const { reader } = options
  let timer: NodeJS.Timeout | null = null
  let position = 0
  let seen: number | null = null

  function begin(): void {
    position = reader.latestSeq()
    timer = setInterval(look, LOOK_EVERY_MS)
    timer.unref()
  }

  function look(): void {
    const version = reader.dataVersion()
    if (version === null || version === seen) return
    const events = reader.after(position, ROWS_AT_ONCE)
    for (const event of events) {
      options.publish({ topic: topicOf(event), payload: payloadOf(event), qos: 1, retain: false })
    }
    position = events.at(-1)?.seq ?? position
    if (events.length < ROWS_AT_ONCE) seen = version
  }

  if (options.wanted) begin()
  return {
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
