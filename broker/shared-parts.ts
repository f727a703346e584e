// What a broker has to do with other machines: the other nodes on the bus, and its replica of the registry.
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { ChangeReader } from '../db/change-feed.ts'
import { type BrokerReplica, openBrokerReplica } from '../db/replication/broker-replica.ts'
import type { PostgresSettings } from '../db/replication/postgres.ts'
import { openSessionFile } from '../db/sessions/session-file.ts'
import manifest from '../package.json' with { type: 'json' }
import type { CloneDetector } from './admission/clone-detector.ts'
import type { Cluster, ClusterOptions } from './mqtt/cluster/index.ts'
import type { BrokerLog } from './observability/logging.ts'
import type { BrokerMetrics } from './observability/metrics.ts'
import { REPLICA_FILE } from './registry/broker-registry.ts'
import type { BrokerSettings } from './settings/validation.ts'

/** How a broker is one of several. */
export type SharedOptions = {
  nodeId?: string
  /** The other nodes: where the bus is and the database that all share. Absent for the only node. */
  cluster?: Pick<ClusterOptions, 'bus' | 'postgres' | 'times' | 'versions'> | undefined
  /** The node can go on no longer: its process should end, and begin anew. */
  onFatal?: () => void
  /** Where several machines share the registry: it is in PostgreSQL, and knows this broker by its name. */
  shared?: { settings: PostgresSettings; node: string } | null
}

/** With a device ID beside it, what an index of PostgreSQL takes: 2,704 octets a row. A topic beyond would stop the whole node. */
const TOPIC_BYTES_MAX = 2_048

/** Null for the only node. Throws an Error that says which setting does not go together with a bus. */
export async function openClusterFor(
  { cluster, nodeId, shared, settings, onFatal }: SharedOptions & { settings: BrokerSettings },
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

/** Rejects where PostgreSQL cannot be reached or holds no registry that fits. */
export function openReplica(
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
