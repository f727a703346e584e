// What a broker has to do with other machines: the other nodes on the bus, and its replica of the registry.
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { auditKeys } from '../db/audit/audit-checkpoint.ts'
import type { ChangeReader } from '../db/change-feed.ts'
import { type BrokerReplica, openBrokerReplica } from '../db/replication/broker-replica.ts'
import type { PostgresSettings } from '../db/replication/postgres.ts'
import { openSnapshot } from '../db/replication/snapshot-file.ts'
import { openSnapshotReplica } from '../db/replication/snapshot-replica.ts'
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
  /** A file that a replica begins with which is not there yet; without `shared` the only thing that it is. */
  snapshot?: string | null
}

/** The public key of the service that signed a snapshot, in the data directory. */
export const SNAPSHOT_KEY = 'audit.pub'
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
  const file = openSessionFile(null)
  return await openCluster(file, {
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
  }).catch(error => {
    file.close()
    throw error
  })
}

/** Null on one machine. Rejects where PostgreSQL cannot be reached or holds no registry that fits, or the snapshot is refused. */
export async function openReplica(
  { shared = null, snapshot = null }: Pick<SharedOptions, 'shared' | 'snapshot'>,
  data: string,
  settings: BrokerSettings,
  { now, onFailed }: { now: () => number; onFailed(error: unknown): void },
): Promise<BrokerReplica | null> {
  const file = join(data, REPLICA_FILE)
  const { snapshotAgeMaxMs: ageMaxMs, isolationAdmitMs: admitMs, isolationCutMs: cutMs } = settings
  const open = (name: string) =>
    openSnapshot(name, {
      keys: auditKeys(readFileSync(join(data, SNAPSHOT_KEY), 'utf8')),
      now: now(),
      ageMaxMs,
    })
  if (shared !== null)
    return openBrokerReplica({
      ...{ settings: shared.settings, node: shared.node, onFailed, file, cutMs },
      version: manifest.version,
      snapshot: snapshot === null ? null : () => open(snapshot),
    })
  if (snapshot === null) return null
  if (existsSync(join(data, 'registry.db')))
    throw new Error(
      `${data} holds a registry, so that its broker needs no snapshot: leave --snapshot out, or give --registry, too`,
    )
  return openSnapshotReplica({ file, snapshot: open(snapshot), ageMaxMs, admitMs, now })
}
