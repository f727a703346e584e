// A broker's replica that is not there yet begins with a snapshot, where PostgreSQL can bring it in step from there.
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { preparePostgresSchema } from './postgres-schema.ts'
import { GROUPS_KEPT, readHead } from './registry-rows.ts'
import { positionOf, type Snapshot, SnapshotRefused, takeSnapshot } from './snapshot-file.ts'

/**
 * Gives a broker that has no replica yet that of the snapshot; does nothing where there is one. `open` is asked where it is needed.
 * @throws {SnapshotRefused} where it is not to be used, is of another registry than that in PostgreSQL, or is from before what is known there
 */
export async function seedReplica(options: {
  settings: PostgresSettings
  file: string
  name: string
  open(): Snapshot
}): Promise<void> {
  const { settings, file, name } = options
  if (positionOf(file) !== null) return
  const snapshot = options.open()
  const { registryId, group } = snapshot.facts
  const link = createPostgresLink({
    ...{ settings, name: `${name} snapshot` },
    prepare: client => preparePostgresSchema(client, false),
  })
  const head = await link.ask(readHead).finally(link.close)
  if (head.registryId !== registryId)
    throw new SnapshotRefused(
      `${snapshot.file} is of another registry than the one in PostgreSQL: check --registry and --snapshot`,
    )
  const behind = head.group.sequence - group.sequence
  if (group.sequence < head.completeFrom || behind >= GROUPS_KEPT)
    throw new SnapshotRefused(
      `${snapshot.file} is of group ${group.sequence}, and PostgreSQL does not know any more what was deleted before group ${Math.max(head.completeFrom, head.group.sequence - GROUPS_KEPT)}: make a new one with rollcall registry snapshot, or start without --snapshot, which reads all rows`,
    )
  await takeSnapshot(snapshot, file)
}
