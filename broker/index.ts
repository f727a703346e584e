// Puts the broker together: the parts of it first, then how it starts and stops.

import { hostname } from 'node:os'

import { join } from 'node:path'

import type { Logger } from 'pino'
import type { ChangeReader } from '../db/change-feed.ts'
import { prepareArrivalLookup } from '../db/issuers/arrivals.ts'
import { type BrokerReplica, openBrokerReplica } from '../db/replication/broker-replica.ts'
import type { PostgresSettings } from '../db/replication/postgres.ts'
import { openSessionFile } from '../db/sessions/session-file.ts'

import manifest from '../package.json' with { type: 'json' }
import { type CloneDetector, createCloneDetector } from './admission/clone-detector.ts'
import { createLimits } from './gate/limits/connection-limits.ts'
import { createGates } from './gate-workers/index.ts'
import type { Cluster, ClusterOptions } from './mqtt/cluster/index.ts'
import { createSessions } from './mqtt/connection/sessions.ts'
import { createEngine } from './mqtt/index.ts'
import { createRightsResolver } from './mqtt/rights-resolver.ts'
import { type BrokerLog, createBrokerLog } from './observability/logging.ts'
import { type BrokerMetrics, createMetrics } from './observability/metrics.ts'
import { traceConnections } from './observability/tracing.ts'
import { createObservers } from './observers.ts'
import { openBrokerRegistry, REPLICA_FILE } from './registry/broker-registry.ts'
import { createIsGone } from './revocation/retention.ts'
import { watchRevocations } from './revocation/revocation-watch.ts'
import { clearSessions, reconcileStoredState } from './revocation/startup-reconciliation.ts'
import { type BrokerSettings, policyNames } from './settings/validation.ts'
import { createScrape } from './statistics/scrape.ts'
import { createSysTopics } from './statistics/sys-topics.ts'
import { openStores } from './stores.ts'

export type BrokerOptions = {
  /** The data directory: registry.db, server.crt and keys/server.key must be there. */
  data: string
  host: string
  /** 0 picks a free one. */
  port: number
  settings: BrokerSettings
  log: Logger
  nodeId?: string
  /** The other nodes: where the bus is and the database that all share. Absent for the only node. */
  cluster?: Pick<ClusterOptions, 'bus' | 'postgres' | 'times'> | undefined
  /** The node can go on no longer: its process should end, and begin anew. */
  onFatal?: () => void
  /** Where several machines share the registry: it is in PostgreSQL, and knows this broker by its name. */
  shared?: { settings: PostgresSettings; node: string } | null
  now?: () => number
  /** How often expired sessions are looked for, and how often the registry is written. Tests do not wait a second for it. */
  intervals?: { expiryCheckMs: number; registryWriteMs: number }
}

export type Broker = {
  port: number
  /** Whether devices can be admitted: the registry can be read or, in open mode, was not replaced by another. */
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
    ready: () => !closing && registry.canAdmit(),
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
  const replica = shared === null ? null : await openReplica(shared, data, settings, onDoubt)
  const registry = await Promise.try(openBrokerRegistry, {
    ...{ data, settings, now, onDoubt, replica, onOpen: brokerLog.registryOpen },
  }).catch(async error => {
    await replica?.close()
    throw error
  })
  const sessions = createSessions()
  const { nodeId } = options
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
    nodeName: shared?.node ?? 'broker',
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
  publisher.start(engine.announce)
  stores.history.start(engine)

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
  const { healthy } = registry.health
  const scrape = createScrape({
    ...{ metrics, engine, limits, healthy, replica, sessionFile: stores.sessionsAt },
    cluster: cluster?.figures ?? null,
  })
  const { version } = manifest
  const sysTopics = createSysTopics({ everyMs: settings.sysIntervalMs, version, engine, limits })
  return {
    ...{ settings, brokerLog, registry, stores, engine, gates, watch, scrape, sysTopics, isGone, onDoubt },
  }
}

/** With a device ID beside it, what an index of PostgreSQL takes: 2,704 octets a row. A topic beyond would stop the whole node. */
const TOPIC_BYTES_MAX = 2_048

async function openClusterFor(
  {
    cluster,
    nodeId,
    shared,
    settings,
    onFatal,
  }: Pick<BrokerOptions, 'cluster' | 'nodeId' | 'shared' | 'settings' | 'onFatal'>,
  parts: {
    cloneDetector: CloneDetector
    feed: Pick<ChangeReader, 'clearedAfter' | 'deletedAfter'>
    log: BrokerLog
    metrics: BrokerMetrics
    now: () => number
  },
): Promise<Cluster | null> {
  if (cluster === undefined) return null
  const { cloneDetector, feed, log, metrics, now } = parts
  if (settings.topicBytesMax > TOPIC_BYTES_MAX)
    throw new Error(`with --bus topicBytesMax is ${TOPIC_BYTES_MAX} at most: set it lower`)
  const { openCluster } = await import('./mqtt/cluster/index.ts') // with two clients that a single node does not need
  return await openCluster(openSessionFile(null), {
    ...cluster,
    name: nodeId ?? shared?.node ?? hostname(),
    clearedAfter: epoch => [...feed.clearedAfter(epoch), ...feed.deletedAfter(epoch)],
    pastTakeovers: fingerprint => cloneDetector.past(fingerprint, now()),
    takeInTakeovers: (fingerprint, past) => cloneDetector.takeIn(fingerprint, past, now()),
    onTrouble: log.clusterTroubled,
    onCommitted: ms => metrics.groupCommitSeconds.observe(ms / 1000),
    onEnded(error) {
      log.clusterEnded(error)
      onFatal?.()
    },
  })
}

function openReplica(
  { settings: at, node }: { settings: PostgresSettings; node: string },
  data: string,
  settings: BrokerSettings,
  onFailed: (error: unknown) => void,
): Promise<BrokerReplica> {
  return openBrokerReplica({
    ...{ settings: at, node, onFailed, file: join(data, REPLICA_FILE) },
    version: manifest.version,
    cutMs: settings.isolationCutMs,
  })
}

/** The gates stop first and the registry closes last. Rights that end meanwhile still end sessions. */
async function closeParts(parts: Parts, hurry: boolean): Promise<void> {
  const { engine, stores } = parts
  const gatesStopped = parts.gates.stop()
  if (!hurry) await drain(parts)
  parts.watch.stop()
  stores.publisher.stop()
  parts.scrape.stop()
  parts.sysTopics.stop()
  await engine.close()
  await gatesStopped
  stores.writeBuffer.close()
  stores.recorder.close()
  stores.history.close()
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
