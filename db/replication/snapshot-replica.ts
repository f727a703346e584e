// A broker's replica that is a snapshot and nothing else: at a site without a way to PostgreSQL.
import type { BrokerNotes } from '../broker-notes.ts'
import { RegistryError } from '../registry-error.ts'
import type { BrokerReplica } from './broker-replica.ts'
import { noteCalls } from './note-calls.ts'
import { positionOf, type Snapshot, SnapshotRefused, takeSnapshot } from './snapshot-file.ts'

/**
 * A replica that is the snapshot, or a newer one that was here before. It counts as heard until it is `ageMaxMs` old, and from then on as
 * not heard for `admitMs` and longer, so that nobody is admitted. What the broker notes goes nowhere.
 * @throws {SnapshotRefused} where it is not to be used
 */
export async function openSnapshotReplica(options: {
  file: string
  snapshot: Snapshot
  ageMaxMs: number
  admitMs: number
  now(): number
}): Promise<BrokerReplica> {
  const { file, snapshot, ageMaxMs, admitMs, now } = options
  const { registryId, group, takenAt } = snapshot.facts
  const before = positionOf(file)
  if (before !== null && before.registryId !== registryId)
    throw new SnapshotRefused(
      `${file} is a replica of another registry than ${snapshot.file}: name another directory, or remove it`,
    )
  if (before === null || before.group.sequence < group.sequence) await takeSnapshot(snapshot, file)
  // By both clocks: one that is set back makes nothing younger.
  const [began, ageMs] = [performance.now(), now() - takenAt]
  const overdueMs = () => Math.max(now() - takenAt, ageMs + performance.now() - began) - ageMaxMs
  const old = new RegistryError(
    'registry_outdated',
    `the snapshot ${snapshot.file} is older than snapshotAgeMaxMs: bring a newer one, and start the broker again`,
  )
  const sequence = before === null ? group.sequence : Math.max(before.group.sequence, group.sequence)
  return {
    notes: Object.fromEntries(noteCalls.map(call => [call, () => {}])) as unknown as BrokerNotes,
    sequence: () => sequence,
    ageMs: () => (overdueMs() <= 0 ? 0 : admitMs + overdueMs()),
    trouble: () => (overdueMs() <= 0 ? null : old),
    async close() {},
  }
}
