// Puts the broker together: the parts of it first, then how it starts and stops.

import { join } from 'node:path'
import type { Logger } from 'pino'
import { prepareArrivalLookup } from '../db/issuers/arrivals.ts'
import { prepareDrainOrder } from '../db/nodes/node-drains.ts'
import manifest from '../package.json' with { type: 'json' }
import { createCloneDetector } from './admission/clone-detector.ts'
import { type NodeDrain, watchNodeDrain } from './draining/node-drain.ts'
import { createLimits } from './gate/limits/connection-limits.ts'
import { createGates } from './gate-workers/index.ts'
import { createSessions } from './mqtt/connection/sessions.ts'
import { createEngine } from './mqtt/index.ts'
import { createRightsResolver } from './mqtt/rights-resolver.ts'
import { createBrokerLog } from './observability/logging.ts'
import { createMetrics } from './observability/metrics.ts'
import { traceConnections } from './observability/tracing.ts'
import { createObservers } from './observers.ts'
import { openBrokerRegistry } from './registry/broker-registry.ts'
import { createIsGone } from './revocation/retention.ts'
import { watchRevocations } from './revocation/revocation-watch.ts'
import { clearSessions, reconcileStoredState } from './revocation/startup-reconciliation.ts'
import { type BrokerSettings, policyNames } from './settings/validation.ts'
import { openClusterFor, openReplica, type SharedOptions } from './shared-parts.ts'
import { openOtherNodes } from './statistics/node-statistics.ts'
import { createScrape } from './statistics/scrape.ts'
import { createSysTopics } from './statistics/sys-topics.ts'
import { openStores } from './stores.ts'
import { openServiceSocket } from './tryouts/service-socket.ts'

export type BrokerOptions = SharedOptions & {
  /** The data directory: registry.db, server.crt and keys/server.key must be there. */
  data: string
  host: string
  /** 0 picks a free one. */
  port: number
  settings: BrokerSettings
  log: Logger
  now?: () => number
  /** How often expired sessions are looked for, and how often the registry is written. Tests do not wait a second for it. */
  intervals?: { expiryCheckMs: number; registryWriteMs: number }
}

export type Broker = {
  port: number
  /** Whether devices can be admitted: the registry can be read or, in open mode, was not replaced by another, and nobody has drained it. */
  ready(): boolean
  sessions(): number
  metrics(): Promise<string>
  /** Reads server certificate, key and trust anchors again. Live connections keep theirs. */
  reload(): void
  /** Finishes messages in progress first, unless `hurry`. */
  close(options?: { hurry: boolean }): Promise<void>
}

type Parts = Awaited<ReturnType<typeof createParts>>

/** Starts a broker. Rejects where the port is taken, a file is missing or the registry cannot be used. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const parts = await createParts(options)
  const { engine, gates, brokerLog, registry } = parts
  // Gates open last: the first connection finds the revocation watch running.
  const port = await gates.open().catch(async error => {
    await closeParts(parts, true)
    throw error
  })
  const { isGone, onDoubt } = parts
  const reconciliation = reconcileStoredState({ engine, isGone, onDoubt })
  brokerLog.listening(`mqtts://${options.host}:${port}`)
  let closing = false
  return {
    port,
    ready: () => !closing && registry.canAdmit() && parts.nodeDrain.order() === null,
    sessions: engine.sessions.size,
    metrics: parts.scrape.text,
    reload: gates.reload,
    async close({ hurry } = { hurry: false }) {
      if (closing) return
      closing = true
      reconciliation.stop()
      await closeParts(parts, hurry)
      brokerLog.stopped()
    },
  }
}

async function createParts({ data, settings, log, now = Date.now, intervals, ...options }: BrokerOptions) {
  const metrics = createMetrics()
  const brokerLog = createBrokerLog(log, metrics)
  const onDoubt = brokerLog.registryInDoubt
  const { shared = null } = options
  const replica = await openReplica(options, data, settings, { now, onFailed: onDoubt })
  const registry = await Promise.try(openBrokerRegistry, {
    ...{ data, settings, now, onDoubt, replica, onOpen: brokerLog.registryOpen },
  }).catch(async error => {
    await replica?.close()
    throw error
  })
  const sessions = createSessions()
  const { nodeId } = options
  const nodeName = nodeId ?? shared?.node ?? 'broker'
  let nodeDrain: NodeDrain | null = null
  const { registryWriteMs, expiryCheckMs } = { ...intervals }
  const cloneDetector = createCloneDetector()
  const cluster = await openClusterFor(
    { ...options, settings },
    { cloneDetector, feed: registry.feed, log: brokerLog, metrics, now },
  ).catch(async error => {
    await registry.close()
    throw error
  })
  const stores = await Promise.try(openStores, {
    ...{ data, nodeId, settings, registry, sessions, registryWriteMs, now },
    sharedFile: cluster?.sessionFile ?? null,
    nodeName,
    drainAt: () => nodeDrain?.order()?.at ?? null,
    shared,
    busConnected: () => cluster?.figures().isBusUp ?? null,
    storedSession: deviceId => engine.storedSession(deviceId),
    log: brokerLog,
  }).catch(async error => {
    // A start that waits for another writer is tried again, and must not gather open files meanwhile.
    await cluster?.close()
    await registry.close()
    throw error
  })
  const { writeBuffer, sessionFile, publisher } = stores
  const observers = createObservers({ ...stores, settings, log: brokerLog, metrics, cloneDetector, now })

  const isGone = createIsGone(registry.deviceLookup)
  const engine = await createEngine({
    settings,
    sessions,
    admit: registry.admit,
    rightsOf: createRightsResolver({
      policiesOf: registry.view.policiesOf,
      backendPolicies: policyNames(settings.backendPolicies),
      onDoubt,
    }),
    events: observers.engine,
    sessionFile,
    isGone,
    now,
    expiryCheckMs,
    cluster,
  })
  await clearSessions(engine, registry.feed, registry.epoch)
  nodeDrain = watchNodeDrain({
    readOrder: prepareDrainOrder(registry.reading.sqlite, nodeName),
    ...{ engine, patienceMs: settings.drainMs, onDoubt, ...observers.nodeDrain },
  })
  await stores.eventsOfAll?.start()
  publisher.start(engine.announce)
  stores.history.start(engine)
  stores.retainedIndex.start(engine)
  const serviceSocket = openServiceSocket({
    file: join(data, nodeId === undefined ? 'broker.sock' : `broker-${nodeId}.sock`),
    tryouts: engine.tryouts,
    onFailed: brokerLog.serviceSocketFailed,
  })

  const limits = createLimits(settings, () => performance.now())
  const gates = createGates({
    data,
    host: options.host,
    port: options.port,
    settings,
    registry: registry.reading,
    replicaAgeMs: replica?.ageMs ?? null,
    limits,
    admit: registry.admit,
    deviceOf: registry.view.deviceOf,
    handleConnection: traceConnections(engine.handleConnection),
    selfRegistration: {
      lookup: prepareArrivalLookup(registry.reading.sqlite),
      note: writeBuffer.arrival,
      now,
    },
    observer: observers.gates,
  })

  const watch = watchRevocations({
    feed: registry.feed,
    epoch: registry.epoch,
    health: registry.health,
    memory: registry.cache,
    admit: registry.admitAgain,
    assertSameRegistry: registry.assertSameFile,
    pollMs: settings.registryPollMs,
    expiryCheckMs,
    maxSessionAgeMs: settings.maxSessionAgeMs,
    mustCut: registry.mustCut,
    engine,
    isGone,
    now,
    onIssuersChanged: gates.reload,
    onChange: gates.changed,
    onAcknowledged: observers.acknowledged,
    onDoubt,
  })
  metrics.feedEpoch.set(registry.epoch)
  metrics.nodeInfo.set({ node: nodeName }, 1)
  const { healthy } = registry.health
  const scrape = createScrape({
    ...{ metrics, engine, limits, healthy, replica, sessionFile: stores.sessionsAt },
    cluster: cluster?.figures ?? null,
    isDrained: () => nodeDrain?.order() != null,
  })
  const { version } = manifest
  const { sysIntervalMs: everyMs } = settings
  const openOthers = cluster === null ? null : () => openOtherNodes({ cluster, name: nodeName, everyMs })
  const sysTopics = createSysTopics({ everyMs, version, engine, limits, openOthers })
  return {
    ...{ settings, brokerLog, registry, stores, engine, gates, watch, scrape, sysTopics, serviceSocket },
    ...{ isGone, onDoubt, nodeDrain },
  }
}

/** The gates stop first and the registry closes last. Rights that end meanwhile still end sessions. */
async function closeParts(parts: Parts, hurry: boolean): Promise<void> {
  const { engine, stores } = parts
  const gatesStopped = parts.gates.stop()
  if (!hurry) await drain(parts)
  parts.watch.stop()
  parts.nodeDrain.stop()
  stores.publisher.stop()
  parts.scrape.stop()
  parts.sysTopics.stop()
  parts.serviceSocket.close()
  stores.retainedIndex.close()
  await engine.close()
  await gatesStopped
  stores.writeBuffer.close()
  stores.recorder.close()
  stores.history.close()
  await stores.eventsOfAll?.stop()
  await parts.registry.close()
}

async function drain({ engine, settings, brokerLog }: Parts): Promise<void> {
  const sessions = engine.sessions.size()
  if (sessions === 0) return
  brokerLog.stopping(sessions)
  const began = performance.now()
  const unfinished = await engine.drain(settings.drainMs)
  brokerLog.drained(performance.now() - began, unfinished)
}
