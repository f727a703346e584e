// The registry as the broker opens it: one handle for reading, one for writing, and everything that is prepared on them.
import { join } from 'node:path'
import { prepareAdmissionLookup, prepareDeviceLookup } from '../../db/admission-lookup.ts'
import { createBrokerNotes } from '../../db/broker-notes.ts'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { assertSameFile, closeRegistry, openForNotes, openForReading } from '../../db/open.ts'
import { preparePolicyLookup } from '../../db/policies/policy-lookup.ts'
import type { BrokerReplica } from '../../db/replication/broker-replica.ts'
import { createAdmit } from '../admission/admit.ts'
import type { BrokerSettings } from '../settings/validation.ts'
import { isolated } from './isolation.ts'
import { createRegistryCache } from './registry-cache.ts'
import { createRegistryHealth } from './registry-health.ts'
import { createRegistryView } from './registry-view.ts'

export type BrokerRegistry = ReturnType<typeof openBrokerRegistry>

/** Throws a RegistryError where the file is missing, damaged or not a registry. */
export function openBrokerRegistry(options: {
  data: string
  settings: BrokerSettings
  now: () => number
  onDoubt(error: unknown): void
  /** A device was admitted by the cache although the registry is lost. */
  onOpen(error: unknown): void
  /** Where several machines share the registry. */
  replica: BrokerReplica | null
}) {
  const { settings, now, onDoubt } = options
  const { replica } = options
  const reading = openForReading(join(options.data, replica === null ? 'registry.db' : REPLICA_FILE))
  const writing = replica === null ? openForNotes(reading.file) : null
  const feed = prepareChangeReader(reading)
  const health = createRegistryHealth(settings.registryLossMs, onDoubt, () =>
    replica === null ? null : isolated(replica.ageMs(), settings.isolationAdmitMs, replica.trouble()),
  )
  // A broker never needs more certificates than it may have connections.
  const cache = settings.registryLossMode === 'open' ? createRegistryCache(settings.connectionsMax) : null
  const view = createRegistryView({
    lookup: prepareAdmissionLookup(reading.sqlite),
    lastChange: feed.lastChange,
    policiesOf: preparePolicyLookup(reading),
    doubt: health.doubt,
    memory: cache,
    onOpen: options.onOpen,
  })
  return {
    reading,
    /** What the broker writes. `version` is its own. */
    notes: (version: string) => replica?.notes ?? createBrokerNotes(writing!, version),
    /** Whether sessions are cut because what ended since cannot be known. */
    mustCut: () => replica !== null && replica.ageMs() > settings.isolationCutMs,
    replica,
    /** Null on one machine. */
    replicaState: () => (replica === null ? null : { sequence: replica.sequence(), ageMs: replica.ageMs() }),
    feed,
    /** The epoch of the last change before this broker: no session of it is older. */
    epoch: feed.latestEpoch(),
    health,
    cache,
    view,
    deviceLookup: prepareDeviceLookup(reading.sqlite),
    /** For new connections. */
    admit: createAdmit({ lookup: view.lookup, now, pq: settings.pq, onDoubt }),
    /** For live sessions: they stay while the registry is in doubt. */
    admitAgain: createAdmit({ lookup: view.lookupAgain, now, pq: settings.pq, onDoubt }),
    assertSameFile: () => assertSameFile(reading),
    /** Whether new connections can be admitted: by the registry or, in open mode, by the cache. */
    canAdmit() {
      const kind = health.doubt()?.kind
      return cache === null ? health.healthy() : kind !== 'replaced' && kind !== 'isolated'
    },
    async close() {
      // The writing handle closes last: only it can move the write-ahead log into the registry and leave one whole file.
      await closeRegistry(reading)
      if (writing !== null) await closeRegistry(writing)
      await replica?.close()
    },
  }
}

/** A broker has a file of its own: a provisioning service on the same data directory writes another one. */
export const REPLICA_FILE = 'replica.db'
