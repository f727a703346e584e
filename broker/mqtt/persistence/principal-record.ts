// The principal of stored sessions and retained messages: kept with them, so that a later run of the broker can check
// them. Judges nothing itself.
import type { HolderRow, SessionRecords } from '../../../db/sessions/session-records.ts'
import type { Principal } from '../rights-resolver.ts'
import type { GroupCommit } from './group-commit.ts'

type Known = HolderRow & { keepsSession: 0 | 1 }

export type PrincipalRecord = ReturnType<typeof createPrincipalRecord>

export function createPrincipalRecord(records: SessionRecords, commit: GroupCommit) {
  const known = new Map<string, Known>()

  function put(row: Known): void {
    known.set(row.device, row)
    commit.owe(() => records.putHolder(row))
  }

  return {
    /** Forgets principals that left neither a session nor a retained message. */
    load(retains: (deviceId: string) => boolean): void {
      for (const row of records.holders()) {
        if (row.keepsSession === 1 || retains(row.device)) known.set(row.device, row)
        else commit.owe(() => records.removeHolder(row.device))
      }
    },
    /** That of one device came with its session. */
    takeIn(row: Known): void {
      known.set(row.device, row)
    },
    of(deviceId: string): Principal | null {
      const row = known.get(deviceId)
      return row === undefined ? null : asPrincipal(row)
    },
    all: () =>
      [...known.values()].map(row => ({ principal: asPrincipal(row), keepsSession: row.keepsSession === 1 })),
    /** A principal that leaves a session or a retained message. */
    keep({ deviceId, issuerId, serialNumber }: Principal, what: 'session' | 'retained'): void {
      const before = known.get(deviceId)
      const keepsSession = what === 'session' ? 1 : (before?.keepsSession ?? 0)
      const same = before?.issuer === issuerId && before.serial === serialNumber
      if (same && before.keepsSession === keepsSession) return
      put({ device: deviceId, issuer: issuerId, serial: serialNumber, keepsSession })
    },
    /** Its session is gone; what it retained may stay. */
    leaves(deviceId: string): void {
      const before = known.get(deviceId)
      if (before?.keepsSession === 1) put({ ...before, keepsSession: 0 })
    },
    forget(deviceId: string): void {
      if (known.delete(deviceId)) commit.owe(() => records.removeHolder(deviceId))
    },
  }
}

function asPrincipal({ device, issuer, serial }: HolderRow): Principal {
  return { deviceId: device, issuerId: issuer, serialNumber: serial }
}
