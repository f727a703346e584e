// The broker put together: registry read, gate and engine with the door between them, the watch over both.
import { join } from 'node:path'
import type { Logger } from 'pino'
import { prepareAdmissionLookup, prepareDeviceLookup } from '../db/admission-lookup.ts'
import { prepareArrivalLookup } from '../db/arrivals.ts'
import { createBrokerNotes } from '../db/broker-notes.ts'
import { prepareChangeReader } from '../db/change-feed.ts'
import { closeRegistry } from '../db/index.ts'
import { readIssuers } from '../db/issuer-store.ts'
import { assertSameFile, openForNotes, openForReading } from '../db/open.ts'
import { preparePolicyLookup } from '../db/policy-store.ts'
import { createAdmit } from './admit.ts'
import { createArrivals } from './arrivals.ts'
import { createCloneDetector } from './clone-detector.ts'
import type { BrokerSettings } from './config.ts'
import { createEngine } from './engine/index.ts'
import { createRightsDesk } from './engine/rights-desk.ts'
import { createEvents } from './events.ts'
import { openGate } from './gate/index.ts'
import { readTlsContext } from './gate/tls-context.ts'
import { createMetrics } from './metrics.ts'
import { createNotebook, type Notebook } from './notebook.ts'
import { createRegistryMemory } from './registry-memory.ts'
import { createRegistryView } from './registry-view.ts'
import { watchRevocations } from './revocation-watch.ts'
import { watchTlsFiles } from './tls-files-watch.ts'

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
  close(): Promise<void>
}

/** Starts a broker. Rejects where the port is taken, a file is missing or the registry cannot be used. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { settings, log, now = Date.now } = options
  const registryFile = join(options.data, 'registry.db')
  const files = {
    certificate: join(options.data, 'server.crt'),
    key: join(options.data, 'keys', 'server.key'),
  }
  const metrics = createMetrics()
  const events = createEvents(log, metrics)

  const registry = openForReading(registryFile)
  const notesRegistry = openForNotes(registryFile)
  const feed = prepareChangeReader(registry)
  const epoch = feed.latestEpoch()
  let issuers = readIssuers(registry)

  const onDoubt = events.registryInDoubt
  // More than may be connected need not be known.
  const memory = settings.registryLossMode === 'open' ? createRegistryMemory(settings.connectionsMax) : null
  const view = createRegistryView({
    lookup: prepareAdmissionLookup(registry.sqlite),
    policiesOf: preparePolicyLookup(registry),
    doubt: () => watch.doubt(),
    memory,
    onOpen: events.registryOpen,
  })
  /** For those inside: they stay while the registry is in doubt. */
  const admitAgain = createAdmit({ lookup: view.lookupAgain, now, onDoubt })
  const admit = createAdmit({ lookup: view.lookup, now, onDoubt })
  const closeRegistries = async () => {
    // The one that may write goes last: only such a one can empty the log into the registry and leave one whole file.
    await closeRegistry(registry)
    await closeRegistry(notesRegistry)
  }
  let notebook: Notebook
  try {
    notebook = createNotebook({
      nodeId: options.nodeId ?? 'broker',
      epoch,
      notes: createBrokerNotes(notesRegistry),
      everyMs: options.pace?.notesMs,
      now,
      onWaiting: events.notesWaiting,
    })
  } catch (error) {
    // Whoever waits for another writer tries again, and must not gather open files meanwhile.
    await closeRegistries()
    throw error
  }
  const refused: typeof events.refused = (reason, who, detail) => {
    events.refused(reason, who, detail)
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
    if (suspends) notebook.suspendCloned({ ...suspicion, deviceId, at })
  }
  const engine = await createEngine({
    settings,
    admit,
    rightsOf: createRightsDesk({ policiesOf: view.policiesOf, onDoubt }),
    events: {
      ...events,
      refused,
      firstUse: notebook.use,
      subscriptionsChanged: notebook.subscriptions,
      takenOver,
      messageReceived: () => metrics.messages.inc(),
      messageSent: () => metrics.messagesSent.inc(),
    },
  })
  const context = () =>
    readTlsContext({ files, issuers: issuers.values(), ticketLifetimeMs: settings.ticketLifetimeMs })
  const open = async () =>
    openGate({
      host: options.host,
      port: options.port,
      context: context(),
      settings,
      admit,
      issuers: () => issuers,
      door: engine.door,
      arrive: createArrivals({
        issuers: () => issuers,
        lookup: prepareArrivalLookup(registry.sqlite),
        note: notebook.arrival,
        now,
      }),
      events: {
        refused,
        handshakeTook: ms => metrics.handshakeSeconds.observe(ms / 1_000),
        admissionTook: ms => metrics.admissionSeconds.observe(ms / 1_000),
      },
    })
  const letGo = async () => {
    notebook.close()
    await closeRegistries()
  }
  const gate = await open().catch(async error => {
    await engine.close()
    await letGo()
    throw error
  })

  function reload(): void {
    try {
      issuers = readIssuers(registry)
      gate.reload(context())
      events.trustReloaded(issuers.size)
    } catch (error) {
      events.trustNotReloaded(error)
    }
  }

  const tlsFiles = watchTlsFiles(files, reload)
  const watch = watchRevocations({
    feed,
    epoch,
    pollMs: settings.registryPollMs,
    sweepMs: options.pace?.sweepMs,
    lossMs: settings.registryLossMs,
    maxSessionAgeMs: settings.maxSessionAgeMs,
    admit: admitAgain,
    engine,
    deviceNow: prepareDeviceLookup(registry.sqlite),
    assertSameRegistry: () => assertSameFile(registry),
    memory,
    now,
    onIssuersChanged: reload,
    onAcknowledged(acknowledged, sessionsCut, tookMs) {
      notebook.acknowledge({ epoch: acknowledged, sessionsCut, at: now() })
      metrics.cutSeconds.observe(tookMs / 1_000)
      events.acknowledged(acknowledged, sessionsCut, tookMs)
    },
    onDoubt: events.registryInDoubt,
  })
  events.listening(`mqtts://${options.host}:${gate.port}`)

  return {
    port: gate.port,
    ready: () => (memory === null ? watch.healthy() : watch.doubt()?.kind !== 'replaced'),
    sessions: engine.sessions.size,
    metrics() {
      metrics.sessions.set(engine.sessions.size())
      metrics.registryReadable.set(watch.healthy() ? 1 : 0)
      metrics.handshakes.set(gate.counts().handshakes)
      return metrics.registry.metrics()
    },
    reload,
    async close() {
      tlsFiles.stop()
      watch.stop()
      const gone = gate.stop()
      await engine.close()
      await gone
      await letGo()
      events.stopped()
    },
  }
}
