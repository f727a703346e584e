// The registry as the broker opens it: one handle for reading, one for writing, and everything that is prepared on them.
import { join } from 'node:path'
import { prepareAdmissionLookup, prepareDeviceLookup } from '../../db/admission-lookup.ts'
import { prepareChangeReader } from '../../db/change-feed.ts'
import { closeRegistry } from '../../db/index.ts'
import { assertSameFile, openForNotes, openForReading } from '../../db/open.ts'
import { preparePolicyLookup } from '../../db/policies/policy-store.ts'
import { createAdmit } from '../admission/admit.ts'
import type { BrokerSettings } from '../settings/validation.ts'
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
}) {
  const { settings, now, onDoubt } = options
  const file = join(options.data, 'registry.db')
  const reading = openForReading(file)
  const writing = openForNotes(file)
  const feed = prepareChangeReader(reading)
  const health = createRegistryHealth(settings.registryLossMs, onDoubt)
  // A broker never needs more certificates than it may have connections.
  const cache = settings.registryLossMode === 'open' ? createRegistryCache(settings.connectionsMax) : null
  const view = createRegistryView({
    lookup: prepareAdmissionLookup(reading.sqlite),
    dataVersion: feed.dataVersion,
    policiesOf: preparePolicyLookup(reading),
    doubt: health.doubt,
    memory: cache,
    onOpen: options.onOpen,
  })
  return {
    reading,
    writing,
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
    canAdmit: () => (cache === null ? health.healthy() : health.doubt()?.kind !== 'replaced'),
    async close() {
      // The writing handle closes last: only it can move the write-ahead log into the registry and leave one whole file.
      await closeRegistry(reading)
      await closeRegistry(writing)
    },
  }
}
