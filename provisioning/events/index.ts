// Events put together: the recorder writes to the event log, and the reader and the streams read from it.
import { join } from 'node:path'
import { prepareAuditTail } from '../../db/events/audit-tail.ts'
import { createEventLog, type EventLog } from '../../db/events/event-log.ts'
import { createEventReader, type EventReader } from '../../db/events/event-reader.ts'
import { createHistoryLog } from '../../db/history/history-log.ts'
import { createHistoryReader, type HistoryReader } from '../../db/history/history-reader.ts'
import type { Registry } from '../../db/index.ts'
import type { PassedDeadline } from '../../db/roll/deadlines.ts'
import type { Log } from '../logging/log.ts'
import { startEventRecorder } from './event-recorder.ts'
import { streamText } from './event-response.ts'
import { createEventStreams, type EventStreams } from './event-streams.ts'

export type EventService = {
  eventLog: EventLog
  reader: EventReader
  streams: EventStreams
  history: HistoryReader
  deadlinePassed(passed: PassedDeadline): void
  close(): void
}

export function startEventService(parts: {
  directory: string
  reading: Registry
  log: Log
  now: () => number
}): EventService {
  const { log, now } = parts
  const file = join(parts.directory, 'events.db')
  const historyFile = join(parts.directory, 'history.db')
  const history = createHistoryLog({
    ...{ file: historyFile, now },
    onFailed: log.historyFailed,
    onSetAside: log.historySetAside,
  })
  const eventLog = createEventLog({
    ...{ file, node: null, now },
    onCounted(counts) {
      for (const { minute, kind, count } of counts) history.add(kind, '', count, minute)
    },
    onDropped: log.eventsDropped,
    onFailed: log.eventLogFailed,
    onSetAside: log.eventLogSetAside,
  })
  const recorder = startEventRecorder({
    tail: prepareAuditTail(parts.reading.sqlite),
    eventLog,
    now,
    onFailed: log.eventLogFailed,
  })
  const reader = createEventReader(file, log.eventLogFailed)
  const streams = createEventStreams({ reader, textOf: streamText, onCount: log.streamsOpen })
  return {
    eventLog,
    reader,
    streams,
    history: createHistoryReader(historyFile, log.historyFailed),
    deadlinePassed: recorder.deadlinePassed,
    close() {
      streams.close()
      recorder.close()
      history.close()
      reader.close()
    },
  }
}
