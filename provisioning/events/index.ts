// Events put together: the recorder writes to the event log, and the reader and the streams read from it.
import { join } from 'node:path'
import { prepareAuditTail } from '../../db/events/audit-tail.ts'
import type { EventCount } from '../../db/events/event-batch.ts'
import { createEventLog, type EventLog } from '../../db/events/event-log.ts'
import { createEventReader, type EventReader } from '../../db/events/event-reader.ts'
import { createHistoryCopy } from '../../db/history/history-copy.ts'
import { createHistoryLog } from '../../db/history/history-log.ts'
import { createHistoryReader, type HistoryReader } from '../../db/history/history-reader.ts'
import type { Registry } from '../../db/index.ts'
import type { PassedDeadline } from '../../db/roll/deadlines.ts'
import type { Log } from '../logging/log.ts'
import type { SharedStorage } from '../shared-storage.ts'
import { startEventRecorder } from './event-recorder.ts'
import { streamText } from './event-response.ts'
import { createEventStreams, type EventStreams } from './event-streams.ts'
import { startSharedEventRecorder } from './shared-recorder.ts'

export type EventService = {
  eventLog: EventLog
  reader: EventReader
  streams: EventStreams
  history: HistoryReader
  deadlinePassed(passed: PassedDeadline): void
  close(): Promise<void>
}

/** Where several services share the registry, it resolves once the events of all are here. */
export async function startEventService(parts: {
  directory: string
  reading: Registry
  shared: Pick<SharedStorage, 'openEvents' | 'lease'> | null
  log: Log
  now: () => number
}): Promise<EventService> {
  const { shared, log, now } = parts
  const file = join(parts.directory, 'events.db')
  const historyFile = join(parts.directory, 'history.db')
  const onCounted = (counts: Iterable<EventCount>) => {
    for (const { minute, kind, count } of counts) history.add(kind, '', count, minute)
  }
  const eventLog = createEventLog({
    ...{ file, node: null, shared: shared !== null, now, onCounted },
    onDropped: log.eventsDropped,
    onFailed: log.eventLogFailed,
    onSetAside: log.eventLogSetAside,
  })
  const { eventLogFailed: onFailed, eventLogSetAside: onSetAside } = log
  const historyOfAll =
    shared === null ? null : createHistoryCopy({ file: historyFile, now, onSetAside: log.historySetAside })
  const ofAll = shared?.openEvents({ file, history: historyOfAll, now, onFailed, onSetAside }) ?? null
  const history = createHistoryLog({
    ...{ file: historyFile, now, ...(ofAll === null ? {} : { send: ofAll.sendFigures }) },
    onFailed: log.historyFailed,
    onSetAside: log.historySetAside,
  })
  const recording = { tail: prepareAuditTail(parts.reading.sqlite), eventLog, now, onFailed }
  const sharedRecorder =
    ofAll === null || shared === null
      ? null
      : await startSharedEventRecorder({ ...recording, events: ofAll, leads: shared.lease.held, onCounted })
  const recorder = sharedRecorder ?? startEventRecorder(recording)
  await ofAll?.start()
  const reader = createEventReader(file, onFailed, shared !== null)
  const streams = createEventStreams({ reader, textOf: streamText, onCount: log.streamsOpen })
  return {
    eventLog,
    reader,
    streams,
    history: createHistoryReader(historyFile, log.historyFailed),
    deadlinePassed: recorder.deadlinePassed,
    async close() {
      streams.close()
      await sharedRecorder?.stop()
      recorder.close()
      history.close()
      await ofAll?.stop()
      reader.close()
    },
  }
}
