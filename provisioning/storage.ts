// What the service holds on disk: the data directory, which one service has at a time, and the registry in it.
// Knows no CA and no route.
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

/** Takes the data directory until `open` is disposed. Throws an error that says what to do where it cannot be used. */
export async function takeDataDirectory(
  path: string,
  open: AsyncDisposableStack,
  log: Pick<Log, 'directoryShared'>,
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
  assertNotLost(directory)
  if (access === 'shared') log.directoryShared(directory.path)
  return directory
}

export type Storage = {
  registry: Registry
  /** A connection of its own, so that reads neither wait for a change nor see half of one. */
  reading: Registry
  writer: ReturnType<typeof createRegistryWriter>
  issuers: () => Map<string, Issuer>
  /** Whether the registry answers, is the file that was opened, and was not found damaged. */
  isUsable(): boolean
}

/** Opens the registry until `open` is disposed; makes it where there is none. Its integrity is checked meanwhile. */
export function openStorage(
  directory: DataDirectory,
  open: AsyncDisposableStack,
  { log, now }: { log: Pick<Log, 'registryDamaged'>; now: () => number },
): Storage {
  const registry = openForWriting(directory.registry)
  open.defer(() => closeRegistry(registry))
  const reading = openForReading(directory.registry)
  open.defer(() => closeRegistry(reading))
  const integrity = beginIntegrityCheck(registry, log.registryDamaged)
  open.defer(() => integrity.stop())
  const answers = reading.sqlite.prepare('SELECT 1')
  return {
    registry,
    reading,
    writer: createRegistryWriter(registry, now),
    issuers: prepareIssuers(reading),
    isUsable() {
      try {
        assertSameFile(registry)
        return answers.get() !== undefined && integrity.damage() === null
      } catch {
        return false
      }
    },
  }
}
