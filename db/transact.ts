// How a registry verb runs: one immediate transaction, retried without blocking while another writer holds the lock.
import type { Transaction } from 'kysely'
import { assertSameFile, type Registry } from './open.ts'
import { asRegistryError, RegistryError } from './registry-error.ts'
import type { Schema } from './schema.ts'

const LOCK_DEADLINE_MS = 3_000
const LOCK_RETRY_MS = 20

/** Why a change was refused although the registry works. `errors` of the API are made from it. */
export class Conflict extends Error {
  readonly code: ConflictCode

  constructor(code: ConflictCode, message: string) {
    super(message)
    this.name = 'Conflict'
    this.code = code
  }
}

export type ConflictCode =
  | 'device_exists'
  | 'device_unknown'
  | 'device_state_forbids'
  | 'certificate_unknown'
  | 'certificate_exists'
  | 'certificate_status_forbids'
  | 'certificates_exceeded'
  | 'public_key_taken'
  | 'public_key_compromised'
  | 'issuer_unknown'
  | 'policy_unknown'
  | 'policy_attached'
  | 'policy_changed'
  | 'attachment_unknown'

/**
 * Runs the work in one transaction that is on disk when the promise resolves.
 * @throws {RegistryError} `registry_busy` after 3 s of a locked registry, `registry_full` on a full disk,
 *   `registry_missing` where the file was removed or replaced
 * @throws {Conflict} where the work refuses; nothing is written then
 */
export async function transact<T>(
  registry: Registry,
  work: (transaction: Transaction<Schema>) => Promise<T>,
): Promise<T> {
  const end = performance.now() + LOCK_DEADLINE_MS
  for (;;) {
    try {
      assertSameFile(registry)
      const result = await registry.query.transaction().execute(work)
      assertSameFile(registry) // nothing is acknowledged that went into a file without a name
      return result
    } catch (error) {
      const translated = asRegistryError(error)
      const busy = translated instanceof RegistryError && translated.code === 'registry_busy'
      if (!busy || performance.now() >= end) throw translated
      await new Promise(resolve => setTimeout(resolve, LOCK_RETRY_MS))
    }
  }
}
