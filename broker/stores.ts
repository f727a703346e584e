// The files that the broker writes: its notes in the registry, the session store, the event log, the history, the index of retained messages.
import { join } from 'node:path'
import { createEventReader } from '../db/events/event-reader.ts'
import type { PostgresSettings } from '../db/replication/postgres.ts'
import { openSharedEvents, type SharedEvents } from '../db/replication/shared-events.ts'
import {
  isDamage,
  markDamaged,
  openSessionFile,
  type SessionFile,
  waitsFor,
} from '../db/sessions/session-file.ts'
import manifest from '../package.json' with { type: 'json' }
import { createEventPublisher, EVENT_TOPICS } from './events/event-publisher.ts'
import { openEventRecorder } from './events/event-recorder.ts'
import type { Sessions } from './mqtt/connection/sessions.ts'
import { createDenialExplainer } from './mqtt/rights-resolver.ts'
import type { BrokerLog } from './observability/logging.ts'
import type { BrokerRegistry } from './registry/broker-registry.ts'
import type { StoredSessionOf } from './registry/last-seen-buffer.ts'
import { createRetainedIndex } from './registry/retained-index.ts'
import { createRegistryWriteBuffer } from './registry/write-buffer.ts'
import type { BrokerSettings } from './settings/validation.ts'
import { openBrokerHistory } from './statistics/history.ts'

/** Null where each machine keeps its own. */
function sharedEventsOf(
  file: string,
  { shared, log, now }: Pick<Parameters<typeof openStores>[0], 'shared' | 'log' | 'now'>,
): SharedEvents | null {
  if (shared === null) return null
  return openSharedEvents({
    ...{
      settings: shared.settings,
      name: `rollcall broker ${shared.node}`,
      file,
      hasMarks: false,
      history: null,
      now,
    },
    ...{ onFailed: log.eventLogFailed, onSetAside: log.eventLogSetAside },
  })
}

export type Stores = ReturnType<typeof openStores>

/** Throws where the session store is in use or the registry takes no writes; nothing that this function opened stays open then. */
export function openStores(options: {
  data: string
  /** Undefined for the only broker of a registry. */
  nodeId: string | undefined
  /** What the registry calls this broker. */
  nodeName: string
  settings: BrokerSettings
  registry: BrokerRegistry
  sessions: Sessions
  storedSession: StoredSessionOf
  /** Where other nodes share in what is stored; null where this node stores alone. */
  sharedFile: SessionFile | null
  registryWriteMs: number | undefined
  /** Where several machines share the registry, and this broker's name among them; null where they do not. */
  shared: { settings: PostgresSettings; node: string } | null
  /** Null where this node has no bus. */
  busConnected: () => boolean | null
  /** Names the order by which this node takes no session; null where it takes them. */
  drainAt: () => number | null
  log: BrokerLog
  now: () => number
}) {
  const { data, settings, registry, sessions, log, now } = options
  const nodeId = options.nodeName
  const sessionsName = options.nodeId === undefined ? 'sessions.db' : `sessions-${options.nodeId}.db`
  const { sharedFile } = options
  const isOwn = settings.durableSessions === 1 && sharedFile === null
  const sessionsAt = isOwn ? join(data, sessionsName) : null
  const sessionFile = sharedFile ?? openSessionFile(sessionsAt)
  try {
    const writeBuffer = createRegistryWriteBuffer({
      nodeId,
      epoch: registry.epoch,
      notes: registry.notes(manifest.version),
      everyMs: options.registryWriteMs,
      now,
      report: () => ({
        replica: registry.replicaState(),
        busConnected: options.busConnected(),
        drainAt: options.drainAt(),
      }),
      sessions,
      storedSession: options.storedSession,
      explainDenial: createDenialExplainer(registry.view.policiesOf),
      onWaiting: log.notesWaiting,
    })
    if (sessionFile.setAside !== null)
      log.sessionsSetAside(sessionFile.setAside.file, sessionFile.setAside.error)
    const eventFile = join(data, 'events.db')
    const eventsOfAll = sharedEventsOf(eventFile, options)
    const history = openBrokerHistory({
      ...{ file: join(data, 'history.db'), node: nodeId, log, now },
      ...(eventsOfAll === null ? {} : { send: eventsOfAll.sendFigures }),
    })
    const retainedName = options.nodeId === undefined ? 'retained.db' : `retained-${options.nodeId}.db`
    const retainedIndex = createRetainedIndex({
      file: join(data, retainedName),
      onFailed: log.retainedIndexFailed,
    })
    return {
      writeBuffer,
      retainedIndex,
      sessionFile,
      /** Null where stored sessions are kept in memory alone. */
      sessionsAt,
      history,
      eventsOfAll,
      recorder: openEventRecorder({
        ...{ file: eventFile, node: nodeId, wanted: settings.eventLog === 1, shared: eventsOfAll !== null },
        ...{ events: log, now, onCounted: history.counted },
      }),
      publisher: createEventPublisher({
        reader: createEventReader(eventFile, log.eventLogFailed, eventsOfAll !== null),
        wanted: waitsFor(sessionFile, EVENT_TOPICS),
      }),
      /** A damaged session store is set aside at the next start. */
      onStoreFailed(error: unknown): void {
        if (sessionsAt !== null && isDamage(error)) markDamaged(sessionsAt)
      },
    }
  } catch (error) {
    sessionFile.close()
    throw error
  }
}
