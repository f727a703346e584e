// Puts the broker together: registry, gate, engine, event log, and the watch over revocations.
import { join } from 'node:path'
import type { Logger } from 'pino'
import { prepareAdmissionLookup, prepareDeviceLookup } from '../db/admission-lookup.ts'
import { createBrokerNotes } from '../db/broker-notes.ts'
import { prepareChangeReader } from '../db/change-feed.ts'
import { createEventReader } from '../db/events/event-reader.ts'
import { closeRegistry } from '../db/index.ts'
import { prepareArrivalLookup } from '../db/issuers/arrivals.ts'
import { assertSameFile, openForNotes, openForReading } from '../db/open.ts'
import { preparePolicyLookup } from '../db/policies/policy-store.ts'
import {
  isDamage,
  markDamaged,
  openSessionFile,
  type SessionFile,
  waitsFor,
} from '../db/sessions/session-file.ts'
import manifest from '../package.json' with { type: 'json' }
import { createAdmit } from './admission/admit.ts'
import { createCloneDetector } from './admission/clone-detector.ts'
import { createEventPublisher, EVENT_TOPICS } from './events/event-publisher.ts'
import { openEventRecorder } from './events/event-recorder.ts'
import { createLimits } from './gate/limits/connection-limits.ts'
import { createGates } from './gate-workers/index.ts'
import type { Sessions } from './mqtt/connection/sessions.ts'
import { createEngine } from './mqtt/index.ts'
import { createRightsDesk } from './mqtt/rights-desk.ts'
import { createBrokerLog } from './observability/logging.ts'
import { createMetrics } from './observability/metrics.ts'
import { traceChange, traceConnections } from './observability/tracing.ts'
import { liveSessions } from './registry/live-sessions.ts'
import { createRegistryCache } from './registry/registry-cache.ts'
import { createRegistryView } from './registry/registry-view.ts'
import { createRegistryWriteBuffer, type RegistryWriteBuffer } from './registry/write-buffer.ts'
import { createIsGone } from './revocation/retention.ts'
import { watchRevocations } from './revocation/revocation-watch.ts'
import { reconcileStoredState } from './revocation/startup-reconciliation.ts'
import { type BrokerSettings, policyNames } from './settings/validation.ts'
import { createScrape } from './statistics/scrape.ts'
import { createSysTopics } from './statistics/sys-topics.ts'

export type BrokerOptions = {
  /** The data directory: registry.db, server.crt and keys/server.key must be there. */
  data: string
  host: string
  /** 0 picks a free one. */
  port: number
  settings: BrokerSettings
  log: Logger
  nodeId?: string
  now?: () => number
  /** How often the clock is asked who must leave, and how often notes are written. Tests do not wait a second for it. */
  intervals?: { expiryCheckMs: number; registryWriteMs: number }
}

export type Broker = {
  port: number
  /** Whether devices can be admitted: the registry can be read or, in open mode, was not replaced by another. */
  ready(): boolean
  sessions(): number
  metrics(): Promise<string>
  /** Reads server certificate, key and trust anchors anew. Live connections keep what they have. */
  reload(): void
  /** Drains first; in a hurry not. */
  close(options?: { hurry: boolean }): Promise<void>
}

/** Starts a broker. Rejects where the port is taken, a file is missing or the registry cannot be used. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { settings, log, now = Date.now } = options
  const registryFile = join(options.data, 'registry.db')
  const metrics = createMetrics()
  const events = createBrokerLog(log, metrics)

  const registry = openForReading(registryFile)
  const notesRegistry = openForNotes(registryFile)
  const feed = prepareChangeReader(registry)
  const epoch = feed.latestEpoch()

  const onDoubt = events.registryInDoubt
  // More than may be connected need not be known.
  const memory = settings.registryLossMode === 'open' ? createRegistryCache(settings.connectionsMax) : null
  const view = createRegistryView({
    lookup: prepareAdmissionLookup(registry.sqlite),
    dataVersion: feed.dataVersion,
    policiesOf: preparePolicyLookup(registry),
    doubt: () => watch.doubt(),
    memory,
    onOpen: events.registryOpen,
  })
  /** For those inside: they stay while the registry is in doubt. */
  const admitAgain = createAdmit({ lookup: view.lookupAgain, now, pq: settings.pq, onDoubt })
  const admit = createAdmit({ lookup: view.lookup, now, pq: settings.pq, onDoubt })
  const closeRegistries = async () => {
    // The one that may write goes last: only such a one can empty the log into the registry and leave one whole file.
    await closeRegistry(registry)
    await closeRegistry(notesRegistry)
  }
  const isGone = createIsGone(prepareDeviceLookup(registry.sqlite))
  const nodeId = options.nodeId ?? 'broker'
  const sessionsName = options.nodeId === undefined ? 'sessions.db' : `sessions-${options.nodeId}.db`
  const sessionsAt = settings.durableSessions === 1 ? join(options.data, sessionsName) : null
  let inside: Sessions | null = null
  let writeBuffer: RegistryWriteBuffer
  let sessionFile: SessionFile | null = null
  try {
    sessionFile = openSessionFile(sessionsAt)
    writeBuffer = createRegistryWriteBuffer({
      nodeId,
      epoch,
      notes: createBrokerNotes(notesRegistry, manifest.version),
      everyMs: options.intervals?.registryWriteMs,
      now,
      sessionCount: () => inside?.size() ?? 0,
      sessionsOf: deviceId => liveSessions(inside?.ofDevice(deviceId) ?? []),
      onWaiting: events.notesWaiting,
    })
  } catch (error) {
    // Whoever waits for another writer tries again, and must not gather open files meanwhile.
    sessionFile?.close()
    await closeRegistries()
    throw error
  }
  if (sessionFile.setAside !== null)
    events.sessionsSetAside(sessionFile.setAside.file, sessionFile.setAside.error)
  const eventRecorder = openEventRecorder(
    join(options.data, 'events.db'),
    nodeId,
    settings.eventLog === 1,
    events,
    now,
  )
  const refused: typeof events.refused = (reason, who, detail) => {
    events.refused(reason, who, detail)
    eventRecorder.refused(reason, who)
    writeBuffer.refusal(reason, who)
  }
  const detectClone = createCloneDetector()
  const takenOver: typeof events.takenOver = (who, by) => {
    events.takenOver(who, by)
    // Two certificates of one device overlap while it renews; one certificate twice is a clone or a storm.
    if (who.fingerprint === undefined || who.fingerprint !== by.fingerprint) return
    const at = now()
    const suspicion = detectClone({ fingerprint: who.fingerprint, from: who.address, to: by.address, at })
    if (suspicion === null) return
    const deviceId = who.deviceId ?? ''
    const suspends = settings.suspendClones === 1
    events.cloned(suspicion, deviceId, suspends)
    eventRecorder.cloned(suspicion, deviceId, suspends)
    if (suspends) writeBuffer.suspendCloned({ ...suspicion, deviceId, at })
  }
  const engine = await createEngine({
    settings,
    admit,
    rightsOf: createRightsDesk({
      policiesOf: view.policiesOf,
      backendPolicies: policyNames(settings.backendPolicies),
      onDoubt,
    }),
    events: {
      ...events,
      refused,
      connected(who, clean) {
        events.connected(who, clean)
        eventRecorder.connected(who, clean)
        writeBuffer.sessions(who.deviceId ?? '')
      },
      disconnected(who, why) {
        events.disconnected(who, why)
        eventRecorder.disconnected(who, why)
        writeBuffer.sessions(who.deviceId ?? '')
      },
      firstUse: writeBuffer.use,
      subscriptionsChanged(who, filters, granted) {
        writeBuffer.subscriptions(who, filters)
        eventPublisher.subscribed(granted ?? '')
      },
      takenOver,
      messageReceived: () => metrics.messages.inc(),
      messageSent: () => metrics.messagesSent.inc(),
      routed: tookMs => metrics.routingSeconds.observe(tookMs / 1_000),
      sessionsUnkept(error) {
        events.sessionsUnkept(error)
        if (sessionsAt !== null && isDamage(error)) markDamaged(sessionsAt)
      },
    },
    sessionFile,
    isGone,
    now,
  })
  inside = engine.sessions
  const eventPublisher = createEventPublisher({
    reader: createEventReader(join(options.data, 'events.db'), events.eventLogFailed),
    wanted: waitsFor(sessionFile, EVENT_TOPICS),
    publish: engine.announce,
  })
  const limits = createLimits(settings, () => performance.now())
  const gates = createGates({
    data: options.data,
    host: options.host,
    port: options.port,
    settings,
    registry,
    limits,
    admit,
    deviceOf: view.deviceOf,
    handleConnection: traceConnections(engine.handleConnection),
    selfRegistration: { lookup: prepareArrivalLookup(registry.sqlite), note: writeBuffer.arrival, now },
    observer: {
      ...events,
      refused,
      refusalDelayed: () => metrics.refusalsDelayed.inc(),
      handshakeTook: ms => metrics.handshakeSeconds.observe(ms / 1_000),
      admissionTook: ms => metrics.admissionSeconds.observe(ms / 1_000),
      gateFigures: (gate, figures) => metrics.showProcess(`gate-${gate}`, figures),
    },
  })
  const watch = watchRevocations({
    feed,
    epoch,
    pollMs: settings.registryPollMs,
    expiryCheckMs: options.intervals?.expiryCheckMs,
    lossMs: settings.registryLossMs,
    maxSessionAgeMs: settings.maxSessionAgeMs,
    admit: admitAgain,
    engine,
    isGone,
    assertSameRegistry: () => assertSameFile(registry),
    memory,
    now,
    onIssuersChanged: gates.reload,
    onChange: gates.changed,
    onAcknowledged(acknowledged, sessionsCut, tookMs, committedAt) {
      const at = now()
      writeBuffer.acknowledge({ epoch: acknowledged, sessionsCut, at })
      metrics.cutSeconds.observe(tookMs / 1_000)
      metrics.feedLagSeconds.observe(Math.max(0, at - committedAt) / 1_000)
      metrics.feedEpoch.set(acknowledged)
      traceChange(acknowledged, sessionsCut, committedAt, at)
      events.acknowledged(acknowledged, sessionsCut, tookMs)
    },
    onDoubt: events.registryInDoubt,
  })
  metrics.feedEpoch.set(epoch)
  const scrape = createScrape({ metrics, engine, limits, healthy: watch.healthy, sessionFile: sessionsAt })
  const sys = createSysTopics({
    everyMs: settings.sysIntervalMs,
    version: manifest.version,
    engine,
    limits,
  })
  let reconciliation: ReturnType<typeof reconcileStoredState> | null = null
  let closing = false
  /** Rights that end meanwhile still end sessions. */
  const drain = async () => {
    const sessions = engine.sessions.size()
    if (sessions === 0) return
    events.stopping(sessions)
    const began = performance.now()
    const unfinished = await engine.drain(settings.drainMs)
    events.drained(performance.now() - began, unfinished)
  }
  const close = async (hurry: boolean) => {
    closing = true
    reconciliation?.stop()
    const gone = gates.stop()
    if (!hurry) await drain()
    watch.stop()
    eventPublisher.stop()
    scrape.stop()
    sys.stop()
    await engine.close()
    await gone
    writeBuffer.close()
    eventRecorder.close()
    await closeRegistries()
  }
  // Last of all: whoever comes finds the watch over the registry in its place.
  const port = await gates.open().catch(async error => {
    await close(true)
    throw error
  })
  reconciliation = reconcileStoredState({ engine, isGone, onDoubt })
  events.listening(`mqtts://${options.host}:${port}`)

  return {
    port,
    ready: () => !closing && (memory === null ? watch.healthy() : watch.doubt()?.kind !== 'replaced'),
    sessions: engine.sessions.size,
    metrics: scrape.text,
    reload: gates.reload,
    async close({ hurry } = { hurry: false }) {
      if (closing) return
      await close(hurry)
      events.stopped()
    },
  }
}
