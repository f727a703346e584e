// What the service holds on disk: the data directory, which one service has at a time, and the registry in it.
// Knows no CA and no route.
import { hostname } from 'node:os'
import { assertNotOpen } from '../db/directory-access.ts'
import { closeRegistry, createRegistryWriter, openForWriting, type Registry } from '../db/index.ts'
import { beginIntegrityCheck } from '../db/integrity-check.ts'
import { type Issuer, prepareIssuers } from '../db/issuers/issuer-store.ts'
import { assertSameFile, openForReading } from '../db/open.ts'
import { takeLock } from '../db/process-lock.ts'
import {
  assertNotLost,
  createDataDirectory,
  type DataDirectory,
  dataDirectory,
  removeTemporaryFiles,
  tightenModes,
} from './data-directory.ts'
import type { Log } from './logging/log.ts'
import { openSharedStorage, type SharedStorage } from './shared-storage.ts'

/** Takes the data directory until `open` is disposed. Throws an error that says what to do where it cannot be used. */
export async function takeDataDirectory(
  path: string,
  open: AsyncDisposableStack,
  log: Pick<Log, 'directoryShared'>,
  shared = false,
): Promise<DataDirectory> {
  const directory = dataDirectory(path)
  createDataDirectory(directory)
  const access = assertNotOpen(directory.path)
  const lock = await takeLock(directory.lock)
  if (lock === null) {
    throw new Error(
      `another provisioning service runs on ${directory.path}: stop it, or name another directory with --data`,
    )
  }
  open.defer(() => lock.release())
  removeTemporaryFiles(directory)
  tightenModes(directory)
  // A replica can be made anew.
  if (!shared) assertNotLost(directory)
  if (access === 'shared') log.directoryShared(directory.path)
  return directory
}

export type Storage = {
  registry: Registry
  /** A connection of its own, so that reads neither wait for a change nor see half of one. */
  reading: Registry
  writer: ReturnType<typeof createRegistryWriter>
  issuers: () => Map<string, Issuer>
  /** Null on one machine. */
  shared: SharedStorage | null
  /** Whether this process does what one alone does: always, where it is the only one. */
  leads(): boolean
  /** Whether the registry answers, is the file that was opened, and was not found damaged. */
  isUsable(): boolean
}

/** Without an answer of PostgreSQL for so long, a service cannot do what it is asked. */
const UNHEARD_MAX_MS = 10_000

/** Opens the registry until `open` is disposed; makes it where there is none. Its integrity is checked meanwhile. */
export async function openStorage(
  directory: DataDirectory,
  open: AsyncDisposableStack,
  {
    log,
    now,
    ...config
  }: {
    log: Pick<
      Log,
      | 'registryDamaged'
      | 'registryBehind'
      | 'registryUpgraded'
      | 'leaseChanged'
      | 'brokerNoteFailed'
      | 'registryNotPruned'
    >
    now: () => number
    registry: string | null
    registryPasswordFile: string | null
  },
): Promise<Storage> {
  const { registry, shared } =
    config.registry === null ? openAlone(directory, open) : await openTogether(config.registry)
  const reading = openForReading(directory.registry)
  open.defer(() => closeRegistry(reading))
  const integrity = beginIntegrityCheck(registry, log.registryDamaged)
  open.defer(() => integrity.stop())
  const answers = reading.sqlite.prepare('SELECT 1')
  function openTogether(url: string) {
    const options = { url, passwordFile: config.registryPasswordFile, file: directory.registry }
    return openSharedStorage({ ...options, node: `provisioning ${hostname()}` }, open, log)
  }

  return {
    registry,
    reading,
    writer: createRegistryWriter(registry, now),
    issuers: prepareIssuers(reading),
    shared,
    leads: () => shared === null || shared.lease.held(),
    isUsable() {
      try {
        assertSameFile(registry)
        if (shared !== null && shared.replica.ageMs() > UNHEARD_MAX_MS) return false
        return answers.get() !== undefined && integrity.damage() === null
      } catch {
        return false
      }
    },
  }
}

function openAlone(
  directory: DataDirectory,
  open: AsyncDisposableStack,
): { registry: Registry; shared: null } {
  const registry = openForWriting(directory.registry)
  open.defer(() => closeRegistry(registry))
  return { registry, shared: null }
}
