// The table of signed checkpoints: one verb to add one. Signing is the caller's.
import type { Checkpoint } from './audit-checkpoint.ts'
import type { Registry } from './open.ts'
import { transact } from './transact.ts'

/** Adds a checkpoint. Throws where its number is taken or leaves a gap: two processes must never sign beside each other. */
export async function addCheckpoint(registry: Registry, checkpoint: Checkpoint): Promise<void> {
  await transact(registry, async transaction => {
    const last = await transaction
      .selectFrom('audit_checkpoints')
      .select('number')
      .orderBy('number', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (checkpoint.number !== (last?.number ?? 0) + 1)
      throw new Error(`checkpoint ${checkpoint.number} does not follow ${last?.number ?? 0}`)
    const { keyId, ...columns } = checkpoint
    await transaction
      .insertInto('audit_checkpoints')
      .values({ ...columns, key_id: keyId })
      .execute()
  })
}
