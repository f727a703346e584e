// The broker put together: registry read, gate and engine with the door between them, the watch over both.
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
import { createAdmit } from './admit.ts'
import { createAnnouncer, EVENT_TOPICS } from './announcer.ts'
import { createCloneDetector } from './clone-detector.ts'
import { type BrokerSettings, policyNames } from './config.ts'
import { createEvents } from './events.ts'
import { createLimits } from './gate/limits.ts'
import { createGates } from './gates/index.ts'
import { settleLeftovers } from './leftovers.ts'
import { liveSessions } from './live-sessions.ts'
import { createMetrics } from './metrics.ts'
import type { Sessions } from './mqtt/connection/sessions.ts'
import { createEngine } from './mqtt/index.ts'
import { createRightsDesk } from './mqtt/rights-desk.ts'
import { openNews } from './news.ts'
import { createNotebook, type Notebook } from './notebook.ts'
import { createRegistryMemory } from './registry-memory.ts'
import { createRegistryView } from './registry-view.ts'
import { watchRevocations } from './revocation-watch.ts'
import { createScrape } from './scrape.ts'
import { createIsGone } from './standing.ts'
import { createSysTopics } from './sys-topics.ts'
import { traceChange, traceDoor } from './tracing.ts'

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
  pace?: { sweepMs: number; notesMs: number }
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
  const events = createEvents(log, metrics)

  const registry = openForReading(registryFile)
  const notesRegistry = openForNotes(registryFile)
  const feed = prepareChangeReader(registry)
  const epoch = feed.latestEpoch()

  const onDoubt = events.registryInDoubt
  // More than may be connected need not be known.
  const memory = settings.registryLossMode === 'open' ? createRegistryMemory(settings.connectionsMax) : null
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
  let notebook: Notebook
  let sessionFile: SessionFile | null = null
  try {
    sessionFile = openSessionFile(sessionsAt)
    notebook = createNotebook({
      nodeId,
      epoch,
      notes: createBrokerNotes(notesRegistry, manifest.version),
      everyMs: options.pace?.notesMs,
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
  const news = openNews(join(options.data, 'events.db'), nodeId, settings.eventLog === 1, events, now)
  const refused: typeof events.refused = (reason, who, detail) => {
    events.refused(reason, who, detail)
    news.refused(reason, who)
    notebook.refusal(reason, who)
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
    news.cloned(suspicion, deviceId, suspends)
    if (suspends) notebook.suspendCloned({ ...suspicion, deviceId, at })
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
        news.connected(who, clean)
        notebook.sessions(who.deviceId ?? '')
      },
      disconnected(who, why) {
        events.disconnected(who, why)
        news.disconnected(who, why)
        notebook.sessions(who.deviceId ?? '')
      },
      firstUse: notebook.use,
      subscriptionsChanged(who, filters, granted) {
        notebook.subscriptions(who, filters)
        announcer.subscribed(granted ?? '')
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
  const announcer = createAnnouncer({
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
    door: traceDoor(engine.door),
    arrivals: { lookup: prepareArrivalLookup(registry.sqlite), note: notebook.arrival, now },
    events: {
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
    sweepMs: options.pace?.sweepMs,
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
      notebook.acknowledge({ epoch: acknowledged, sessionsCut, at })
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
  let leftovers: ReturnType<typeof settleLeftovers> | null = null
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
    leftovers?.stop()
    const gone = gates.stop()
    if (!hurry) await drain()
    watch.stop()
    announcer.stop()
    scrape.stop()
    sys.stop()
    await engine.close()
    await gone
    notebook.close()
    news.close()
    await closeRegistries()
  }
  // Last of all: whoever comes finds the watch over the registry in its place.
  const port = await gates.open().catch(async error => {
    await close(true)
    throw error
  })
  leftovers = settleLeftovers({ engine, isGone, onDoubt })
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
