// A broker's replica that is a snapshot and nothing else: at a site without a way to PostgreSQL.
import type { BrokerNotes } from '../broker-notes.ts'
import { RegistryError } from '../registry-error.ts'
import type { BrokerReplica } from './broker-replica.ts'
import { noteCalls } from './note-calls.ts'
import type { Position } from './replica-file.ts'
import { positionOf, type Snapshot, SnapshotRefused, takenAtOf, takeSnapshot } from './snapshot-file.ts'

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
  const isTaken = before === null || isNewer(snapshot, file, before)
  if (isTaken) await takeSnapshot(snapshot, file)
  // By both clocks: one that is set back makes nothing younger.
  const [began, ageMs] = [performance.now(), now() - takenAt]
  const overdueMs = () => Math.max(now() - takenAt, ageMs + performance.now() - began) - ageMaxMs
  const old = new RegistryError(
    'registry_outdated',
    `the snapshot ${snapshot.file} is older than snapshotAgeMaxMs: bring a newer one, and start the broker again`,
  )
  const { sequence } = isTaken ? group : before.group
  return {
    notes: Object.fromEntries(noteCalls.map(call => [call, () => {}])) as unknown as BrokerNotes,
    sequence: () => sequence,
    ageMs: () => (overdueMs() <= 0 ? 0 : admitMs + overdueMs()),
    trouble: () => (overdueMs() <= 0 ? null : old),
    async close() {},
  }
}

/**
 * Than the replica that is here. After a failover that lost groups their numbers do not tell: one that is ahead may hold devices as active
 * that were revoked since.
 * @throws {SnapshotRefused} where group and time do not agree
 */
function isNewer({ file, facts }: Snapshot, replica: string, { group }: Position): boolean {
  const takenAt = takenAtOf(replica)
  const ahead = facts.group.sequence - group.sequence
  const isSame = ahead === 0 && facts.group.id === group.id
  if (isSame) return false
  const since = takenAt === null ? ahead : facts.takenAt - takenAt
  if (ahead !== 0 && Math.sign(since) === Math.sign(ahead)) return ahead > 0
  throw new SnapshotRefused(
    `${replica} has group ${group.sequence} and ${file} group ${facts.group.sequence}, and by the time when they were made the other one is newer: a failover of PostgreSQL lost changes, or a clock was wrong. Take the newest snapshot, and remove ${replica} to go on with this snapshot`,
  )
}
