// The registry where several machines share it: opened by way of PostgreSQL, with the lease of what one process alone does.

import type { Registry } from '../db/open.ts'
import { openSharedRegistry } from '../db/replication/index.ts'
import { foundAlone, type Lease, startLease } from '../db/replication/lease.ts'
import { readPostgresSettings } from '../db/replication/postgres.ts'
import type { Replica } from '../db/replication/replica.ts'
import { createSharedFiles, type SharedFiles } from '../db/replication/shared-files.ts'
import type { Log } from './logging/log.ts'

export type SharedStorage = {
  replica: Replica
  lease: Lease
  /** What the holder of the lease makes and every process serves. */
  files: SharedFiles
  /** For what one process at a time may do, such as making the first CA. */
  alone<T>(work: () => Promise<T>): Promise<T>
}

/** Opens it until `open` is disposed. Throws where PostgreSQL cannot be used. */
export async function openSharedStorage(
  options: { url: string; passwordFile: string | null; file: string; node: string },
  open: AsyncDisposableStack,
  log: Pick<Log, 'registryBehind' | 'leaseChanged'>,
): Promise<{ registry: Registry; shared: SharedStorage }> {
  const settings = readPostgresSettings(options.url, { passwordFile: options.passwordFile ?? undefined })
  const name = `rollcall ${options.node}`
  const { registry, replica, close } = await openSharedRegistry({
    ...{ settings, name, file: options.file, onFailed: log.registryBehind },
  })
  open.defer(close)
  const files = createSharedFiles({ settings, name })
  open.defer(files.close)
  const lease = startLease({ settings, name, onChanged: log.leaseChanged })
  open.defer(lease.stop)
  return { registry, shared: { replica, lease, files, alone: work => foundAlone({ settings, name }, work) } }
}
