// A registry that several machines share, as a provisioning process opens it: its replica, kept in step, and verbs that are agreed upon.
import { randomUUID } from 'node:crypto'
import { closeRegistry } from '../index.ts'
import type { Registry } from '../open.ts'
import { type Agreement, createGroupAgreement } from './group-agreement.ts'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { publishFirst } from './registry-rows.ts'
import { type Replica, startReplica } from './replica.ts'
import { openTrial } from './replica-file.ts'
import { allRows } from './row-capture.ts'
import { type Upgrade, upgradeRegistry } from './upgrade.ts'

export type SharedRegistry = {
  /** For verbs. Reading belongs on another connection: this one sees changes that are not agreed upon. */
  registry: Registry
  replica: Replica
  agreement: Agreement
  close(): Promise<void>
}

/**
 * Opens the registry in PostgreSQL, makes an empty one where there is none, and upgrades one of an earlier version. Throws where PostgreSQL
 * cannot be used, or holds a registry of a newer version.
 */
export async function openSharedRegistry(options: {
  settings: PostgresSettings
  file: string
  name: string
  onFailed(error: unknown): void
  onUpgraded?(upgrade: Upgrade): void
  published?(): void
}): Promise<SharedRegistry> {
  const { settings, name } = options
  const upgrade = await upgradeRegistry({ settings, name, file: `${options.file}.upgrade` })
  if (upgrade !== null) options.onUpgraded?.(upgrade)
  const replica = await startReplica({ ...options, writer: true })
  try {
    const { registry, capture } = openTrial(options.file)
    if (replica.isNew()) await begin(registry, replica, options)
    const agreement = createGroupAgreement({ settings, name, replica, capture, published: options.published })
    return {
      registry: Object.assign(registry, { agreement }),
      replica,
      agreement,
      async close() {
        agreement.close()
        await closeRegistry(registry)
        await replica.stop()
      },
    }
  } catch (error) {
    await replica.stop()
    throw error
  }
}

/** The rows that a new registry has of its own are its first group. Where another process was faster, they are those of its file. */
async function begin(
  { sqlite }: Registry,
  replica: Replica,
  { settings, name }: { settings: PostgresSettings; name: string },
): Promise<void> {
  const link = createPostgresLink({ settings, name })
  try {
    await link.ask(client => publishFirst(client, { id: randomUUID(), writer: name, rows: allRows(sqlite) }))
  } finally {
    link.close()
  }
  await replica.catchUp()
}
