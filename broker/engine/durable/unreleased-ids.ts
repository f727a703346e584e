// Packet identifiers of received messages of QoS 2 that wait for PUBREL (MQTT 3.1.1 §4.3.3, method B). The message itself is
// routed when it arrives, so its identifier is all that is kept of it, in memory and on disk. Bounded for each device.
import type { SessionRecords } from '../../../db/sessions/session-records.ts'
import type { GroupCommit } from './group-commit.ts'
import { QuotaExceeded } from './quota-exceeded.ts'

export type UnreleasedIds = ReturnType<typeof createUnreleasedIds>

export function createUnreleasedIds(parts: {
  records: Pick<SessionRecords, 'unfinished' | 'begin' | 'finish' | 'finishAll'>
  commit: GroupCommit
  /** Of one device, over all of its connections. */
  max: number
}) {
  const { records, commit } = parts
  const byDevice = new Map<string, Set<number>>()
  /** The devices of which identifiers are on disk. */
  const stored = new Set<string>()

  function forget(device: string, messageId: number): boolean {
    const ids = byDevice.get(device)
    const known = ids?.delete(messageId) === true
    if (ids?.size === 0) byDevice.delete(device)
    return known
  }

  return {
    load(): void {
      for (const { device, messageId } of records.unfinished()) {
        stored.add(device)
        byDevice.set(device, (byDevice.get(device) ?? new Set()).add(messageId))
      }
    },
    has: (device: string, messageId: number) => byDevice.get(device)?.has(messageId) === true,
    keepsOf: (device: string) => byDevice.has(device) || stored.has(device),
    isStored: (device: string) => stored.has(device),

    /** Throws `QuotaExceeded` where the device has as many as it may. */
    add(device: string, messageId: number): void {
      const ids = byDevice.get(device) ?? new Set()
      if (!ids.has(messageId) && ids.size >= parts.max)
        throw new QuotaExceeded(`${parts.max} messages of QoS 2 wait for PUBREL already`)
      byDevice.set(device, ids.add(messageId))
    },
    /** Puts one that was added on disk, within a write; it is forgotten where its group is lost. */
    store(device: string, messageId: number): void {
      records.begin(device, messageId)
      commit.undo(() => void forget(device, messageId))
      stored.add(device)
    },
    /** False where it is not known. */
    remove(device: string, messageId: number): boolean {
      if (!forget(device, messageId)) return false
      if (stored.has(device)) commit.owe(() => records.finish(device, messageId))
      return true
    },
    clear(device: string): void {
      byDevice.delete(device)
      if (stored.delete(device)) commit.owe(() => records.finishAll(device))
    },
  }
}
