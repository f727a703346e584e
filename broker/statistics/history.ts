// The broker's part of the history: sessions, traffic and routing times, read in intervals, and the counts of its events.
import type { EventCount } from '../../db/events/event-batch.ts'
import { createHistoryLog, type HistoryLogOptions } from '../../db/history/history-log.ts'
import type { Engine } from '../mqtt/index.ts'
import type { Traffic } from '../mqtt/traffic.ts'
import type { BrokerLog } from '../observability/logging.ts'

export type BrokerHistory = {
  /** Reads the figures of this engine from now on. */
  start(engine: Pick<Engine, 'sessions' | 'traffic'>): void
  counted(counts: Iterable<EventCount>): void
  /** One message of those that are timed. */
  routed(tookMs: number): void
  /** The same, of a message that is acknowledged. */
  publishAcknowledged(tookMs: number): void
  /** While the engine can still be read. */
  close(): void
}

/** Names in the history, and what they are of the traffic. */
const counters = [
  ['messages_received', 'messagesReceived'],
  ['messages_sent', 'messagesSent'],
  ['messages_dropped', 'messagesDropped'],
  ['bytes_received', 'bytesReceived'],
  ['bytes_sent', 'bytesSent'],
] as const satisfies readonly (readonly [string, keyof Traffic])[]

export function openBrokerHistory(parts: {
  file: string
  node: string
  log: Pick<BrokerLog, 'historyFailed' | 'historySetAside'>
  now: () => number
  everyMs?: number
  /** Where several machines share their history. */
  send?: HistoryLogOptions['send']
}): BrokerHistory {
  const { node, now } = parts
  let engine: Pick<Engine, 'sessions' | 'traffic'> | null = null
  const known = new Map<string, number>()
  const history = createHistoryLog({
    ...parts,
    onFailed: parts.log.historyFailed,
    onSetAside: parts.log.historySetAside,
    beforeWrite() {
      if (engine === null) return
      const at = now()
      history.sample('sessions', node, engine.sessions.size(), at)
      for (const [name, field] of counters) {
        const total = engine.traffic[field]
        const more = total - (known.get(name) ?? 0)
        known.set(name, total)
        if (more > 0) history.add(name, '', more, at)
      }
    },
  })
  return {
    start(given) {
      engine = given
    },
    counted(counts) {
      for (const { minute, kind, reason, count } of counts)
        history.add(kind, kind === 'refused' ? reason : '', count, minute)
    },
    publishAcknowledged: tookMs =>
      history.sample('acknowledgement_us', '', Math.round(tookMs * 1_000), now()),
    routed: tookMs => history.sample('routing_us', '', Math.round(tookMs * 1_000), now()),
    close: history.close,
  }
}
