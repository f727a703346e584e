// How many devices are in which state, and certificates in which status: counted in steps of some tenths of a millisecond, for
// a roll of a million takes long and nobody is to wait for it.
import type { Database } from 'better-sqlite3'
import type { CertificateStatus, DeviceState } from '../schema.ts'

export type RollCount = {
  devices: Record<DeviceState, number>
  certificates: Record<CertificateStatus, number>
}

const STEP_ROWS = 2_000

/** Each `next` is a step; the last gives the counts. What changes meanwhile is counted as it was or as it is. */
export function prepareRollCount(sqlite: Database): () => Generator<void, RollCount> {
  const lastOfStep = sqlite
    .prepare<[number, number], number>(
      'SELECT rowid FROM devices WHERE rowid > ? ORDER BY rowid LIMIT 1 OFFSET ?',
    )
    .pluck()
  const states = sqlite.prepare<[number, number], { state: DeviceState; devices: number }>(
    'SELECT state, count(*) AS devices FROM devices WHERE rowid > ? AND rowid <= ? GROUP BY state',
  )
  // Both are answered by the index of status and fingerprint.
  const nth = sqlite
    .prepare<[CertificateStatus, string, number], string>(
      'SELECT fingerprint FROM certificates WHERE status = ? AND fingerprint > ? ORDER BY fingerprint LIMIT 1 OFFSET ?',
    )
    .pluck()
  const rest = sqlite
    .prepare<[CertificateStatus, string], number>(
      'SELECT count(*) FROM certificates WHERE status = ? AND fingerprint > ?',
    )
    .pluck()

  return function* count() {
    const counted: RollCount = {
      devices: { registered: 0, active: 0, suspended: 0, decommissioned: 0 },
      certificates: {
        pending: 0,
        issued: 0,
        active: 0,
        superseded: 0,
        suspended: 0,
        rejected: 0,
        retired: 0,
        lapsed: 0,
        revoked: 0,
      },
    }
    for (let after = 0; Number.isFinite(after); ) {
      const last = lastOfStep.get(after, STEP_ROWS - 1) ?? Number.POSITIVE_INFINITY
      const until = Number.isFinite(last) ? last : Number.MAX_SAFE_INTEGER
      for (const { state, devices } of states.all(after, until)) counted.devices[state] += devices
      after = last
      yield
    }
    for (const status of Object.keys(counted.certificates) as CertificateStatus[]) {
      let after = ''
      for (let last = nth.get(status, after, STEP_ROWS - 1); last !== undefined; ) {
        counted.certificates[status] += STEP_ROWS
        after = last
        yield
        last = nth.get(status, after, STEP_ROWS - 1)
      }
      counted.certificates[status] += rest.get(status, after) ?? 0
      yield
    }
    return counted
  }
}
