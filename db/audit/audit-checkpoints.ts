// The table of signed checkpoints: one verb to add one. Signing is the caller's.

import { assertSameFile, type Registry } from '../open.ts'
import { asRegistryError, RegistryError } from '../registry-error.ts'
import { transact } from '../transact.ts'
import type { Checkpoint } from './audit-checkpoint.ts'

/**
 * Adds a checkpoint, at once or not at all: nobody waits for one, so it never waits for the lock itself.
 * @throws {RegistryError} `registry_busy` where another writer is at work: try again later
 * @throws {Error} where the number is taken or leaves a gap: two processes must never sign beside each other
 */
export function addCheckpoint(registry: Registry, checkpoint: Checkpoint): void {
  const { sqlite } = registry
  if (sqlite.inTransaction) throw new RegistryError('registry_busy', 'a change is being written')
  const waitedMs = sqlite.pragma('busy_timeout', { simple: true })
  assertSameFile(registry)
  sqlite.pragma('busy_timeout = 0')
  try {
    sqlite.transaction(() => insert(registry, checkpoint)).immediate()
  } catch (error) {
    throw asRegistryError(error)
  } finally {
    sqlite.pragma(`busy_timeout = ${waitedMs}`)
  }
}

/** The same, agreed upon with other processes where the registry is shared. */
export async function appendCheckpoint(registry: Registry, checkpoint: Checkpoint): Promise<void> {
  if (registry.agreement === undefined) return addCheckpoint(registry, checkpoint)
  await transact(registry, async () => insert(registry, checkpoint))
}

function insert({ sqlite }: Registry, checkpoint: Checkpoint): void {
  const last = sqlite
    .prepare<[], number>('SELECT coalesce(max(number), 0) FROM audit_checkpoints')
    .pluck()
    .get()!
  if (checkpoint.number !== last + 1)
    throw new Error(`checkpoint ${checkpoint.number} does not follow ${last}`)
  sqlite
    .prepare(
      `INSERT INTO audit_checkpoints (number, seq, hash, at, key_id, signature)
       VALUES (@number, @seq, @hash, @at, @keyId, @signature)`,
    )
    .run(checkpoint)
}
