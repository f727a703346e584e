// How many devices are in which state, and certificates in which status. The registry keeps count with every change (triggers):
// counting a million would take long, and nobody is to wait for it.
import type { Database } from 'better-sqlite3'
import type { CertificateStatus, DeviceState } from '../schema.ts'

export type RollCount = {
  devices: Record<DeviceState, number>
  certificates: Record<CertificateStatus, number>
}

export function prepareRollCount(sqlite: Database): () => RollCount {
  const kept = sqlite.prepare<[], { kind: string; state: string; count: number }>(
    'SELECT kind, state, count FROM roll_counts',
  )
  return () => {
    const counted = nothingCounted()
    for (const { kind, state, count } of kept.all()) {
      if (kind === 'device') counted.devices[state as DeviceState] = count
      else counted.certificates[state as CertificateStatus] = count
    }
    return counted
  }
}

export function nothingCounted(): RollCount {
  return {
    devices: { registered: 0, active: 0, suspended: 0, decommissioned: 0 },
    certificates: {
      ...{ pending: 0, issued: 0, active: 0, superseded: 0, suspended: 0 },
      ...{ rejected: 0, retired: 0, lapsed: 0, revoked: 0 },
    },
  }
}
