// The registry where several machines share it: opened by way of PostgreSQL, with the lease of what one process alone does.

import type { Registry } from '../db/open.ts'
import { RegistryError } from '../db/registry-error.ts'
import { makeEventTables } from '../db/replication/event-tables.ts'
import { openSharedRegistry } from '../db/replication/index.ts'
import { createIsolationBounds, type IsolationBounds } from '../db/replication/isolation.ts'
import { foundAlone, type Lease, startLease } from '../db/replication/lease.ts'
import { startNoteRunner } from '../db/replication/note-runner.ts'
import { readPostgresSettings } from '../db/replication/postgres.ts'
import { startPruning } from '../db/replication/prune.ts'
import type { Replica } from '../db/replication/replica.ts'
import {
  openSharedEvents,
  type SharedEvents,
  type SharedEventsOptions,
} from '../db/replication/shared-events.ts'
import { createSharedFiles, type SharedFiles } from '../db/replication/shared-files.ts'
import type { Log } from './logging/log.ts'

export type SharedStorage = {
  replica: Replica
  lease: Lease
  /** What the holder of the lease makes and every process serves. */
  files: SharedFiles
  boundOf: IsolationBounds['boundOf']
  /** The events of all machines, in this file. */
  openEvents(options: Omit<SharedEventsOptions, 'settings' | 'name' | 'hasMarks'>): SharedEvents
  /** For what one process at a time may do, such as making the first CA. */
  alone<T>(work: () => Promise<T>): Promise<T>
}

/** Opens it until `open` is disposed. Throws where PostgreSQL cannot be used. */
export async function openSharedStorage(
  options: { url: string; passwordFile: string | null; file: string; node: string },
  open: AsyncDisposableStack,
  log: Pick<
    Log,
    'registryBehind' | 'registryUpgraded' | 'leaseChanged' | 'brokerNoteFailed' | 'registryNotPruned'
  >,
): Promise<{ registry: Registry; shared: SharedStorage }> {
  const settings = readPostgresSettings(options.url, { passwordFile: options.passwordFile ?? undefined })
  const name = `rollcall ${options.node}`
  await makeEventTables({ settings, name })
  let lease: Lease | null = null
  const { registry, replica, agreement, close } = await openSharedRegistry({
    ...{ settings, name, file: options.file, onUpgraded: log.registryUpgraded },
    onFailed(error) {
      log.registryBehind(error)
      // Upgraded by a newer version: what the holder of the lease does, this one cannot do any more.
      if (error instanceof RegistryError && error.code === 'registry_newer') void lease?.stop()
    },
  })
  open.defer(close)
  const files = createSharedFiles({ settings, name })
  open.defer(files.close)
  const taken = startLease({ settings, name, onChanged: log.leaseChanged })
  lease = taken
  open.defer(taken.stop)
  const runner = startNoteRunner({
    ...{ settings, name, registry, leads: taken.held },
    endNotes: agreement.endNotes,
    onFailed: log.brokerNoteFailed,
  })
  open.defer(runner.stop)
  const pruning = startPruning({ settings, name, leads: taken.held, onFailed: log.registryNotPruned })
  open.defer(pruning.close)
  const bounds = createIsolationBounds({ settings, name })
  open.defer(bounds.close)
  const alone: SharedStorage['alone'] = work => foundAlone({ settings, name }, work)
  const openEvents: SharedStorage['openEvents'] = own =>
    openSharedEvents({ ...own, settings, name, hasMarks: true })
  const { boundOf } = bounds
  return { registry, shared: { replica, lease: taken, files, boundOf, openEvents, alone } }
}
