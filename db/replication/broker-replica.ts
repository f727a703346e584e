// The registry as a broker has it where several machines share it: a replica that it reads, and notes that travel.
import type { BrokerNotes } from '../broker-notes.ts'
import { declareIsolation } from './isolation.ts'
import { createNoteForwarder } from './note-forwarder.ts'
import type { PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'
import { startReplica } from './replica.ts'
import { notOfBrokers } from './replicated-tables.ts'
import type { Snapshot } from './snapshot-file.ts'
import { seedReplica } from './snapshot-seed.ts'

export type BrokerReplica = {
  notes: BrokerNotes
  sequence(): number
  /** How long ago PostgreSQL was last heard, in ms. */
  ageMs(): number
  /** Why it is not in step; null where it is. */
  trouble(): Error | null
  close(): Promise<void>
}

const CLOSE_MS = 2_000

/** Resolves once the replica is in step. Throws where PostgreSQL cannot be used, or holds no registry yet. */
export async function openBrokerReplica(options: {
  settings: PostgresSettings
  file: string
  node: string
  version: string
  /** For how long the broker keeps sessions without hearing from PostgreSQL. */
  cutMs: number
  onFailed(error: unknown): void
  /** Opens the snapshot that a replica which is not there yet begins with; null where it reads all rows. */
  snapshot?: (() => Snapshot) | null
}): Promise<BrokerReplica> {
  const { settings, node, onFailed } = options
  const name = `rollcall broker ${node}`
  if (options.snapshot) await seedReplica({ settings, file: options.file, name, open: options.snapshot })
  const replica = await startReplica({ settings, file: options.file, name, onFailed, without: notOfBrokers })
  try {
    const link = createPostgresLink({ settings, name: `${name} start` })
    await link.ask(client => declareIsolation(client, node, options.cutMs)).finally(link.close)
  } catch (error) {
    await replica.stop()
    throw error
  }
  const forwarder = createNoteForwarder({ settings, node, version: options.version, onFailed })
  return {
    notes: forwarder.notes,
    sequence: replica.sequence,
    ageMs: replica.ageMs,
    trouble: replica.trouble,
    async close() {
      await forwarder.close(CLOSE_MS)
      await replica.stop()
    },
  }
}
