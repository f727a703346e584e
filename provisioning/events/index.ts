// Events put together: what provisioning has to tell goes into the event log, and what anybody told there comes out of it.
import { join } from 'node:path'
import { prepareAuditTail } from '../../db/events/audit-tail.ts'
import { createEventLog, type EventLog } from '../../db/events/event-log.ts'
import { createEventReader, type EventReader } from '../../db/events/event-reader.ts'
import type { Registry } from '../../db/index.ts'
import type { PassedDeadline } from '../../db/roll/deadlines.ts'
import type { Events } from '../logging/log.ts'
import { startEventRecorder } from './event-recorder.ts'
import { streamText } from './event-response.ts'
import { createEventStreams, type EventStreams } from './event-streams.ts'

export type EventService = {
  log: EventLog
  reader: EventReader
  streams: EventStreams
  deadlinePassed(passed: PassedDeadline): void
  close(): void
}

export function startEventService(parts: {
  directory: string
  reading: Registry
  events: Events
  now: () => number
}): EventService {
  const { events, now } = parts
  const file = join(parts.directory, 'events.db')
  const log = createEventLog({
    ...{ file, node: null, now },
    onDropped: events.newsDropped,
    onFailed: events.newsFailed,
    onSetAside: events.newsSetAside,
  })
  const desk = startEventRecorder({
    tail: prepareAuditTail(parts.reading.sqlite),
    log,
    now,
    onFailed: events.newsFailed,
  })
  const reader = createEventReader(file, events.newsFailed)
  const streams = createEventStreams({ reader, textOf: streamText, onCount: events.streamsOpen })
  return {
    log,
    reader,
    streams,
    deadlinePassed: desk.deadlinePassed,
    close() {
      streams.close()
      desk.close()
      reader.close()
    },
  }
}
