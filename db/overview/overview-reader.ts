// What an overview shows of the whole registry or of one group, at a cost that does not grow with the roll: kept counts,
// brokers, the last changes and the brokers that acted on them. A group is counted in slices, between which others are served.
import type { Database } from 'better-sqlite3'
import type { ChangeKind } from '../change-kind.ts'
import { NODE_GONE_MS } from '../roll/live-sessions.ts'
import { nothingCounted, prepareRollCount, type RollCount } from '../roll/roll-count.ts'
import type { CertificateStatus, DeviceState } from '../schema.ts'

/** Of one group, or of all. `expiring` as in the windows that were asked for. */
export type RollCounts = RollCount & { connected: number; expired: number; expiring: number[] }
type LastChange = {
  epoch: number
  at: number
  kind: ChangeKind
  deviceId: string | null
  fingerprint: string | null
  issuerId: string | null
  nodesTotal: number
  nodesAcknowledged: number
  sessionsCut: number
  /** From the change to the last acknowledgement; null where there is none. */
  tookMs: number | null
}

export type OverviewReader = {
  /** Kept by the registry; `expiring` is counted elsewhere, and empty. */
  ofAll(now: number): RollCounts
  ofGroup(group: string, windowsMs: readonly number[], now: number): Promise<RollCounts>
  lastChanges(group: string | null, limit: number): LastChange[]
  unfinishedJobs(): number
}

const MEMBERS_AT_ONCE = 500
/** Of these, those of a group are shown. */
const CHANGES_LOOKED_AT = 2_000

export function prepareOverview(sqlite: Database): OverviewReader {
  const kept = prepareRollCount(sqlite)
  const sessions = sqlite
    .prepare<[number], number>('SELECT coalesce(sum(sessions), 0) FROM nodes WHERE seen_at > ?')
    .pluck()
  const expired = sqlite
    .prepare<[number], number>(
      `SELECT count(*) FROM certificates INDEXED BY certificates_by_end
       WHERE status IN ('issued', 'active') AND not_after <= ?`,
    )
    .pluck()
  const members = sqlite.prepare<
    [number, string, string],
    { id: string; state: DeviceState; connected: number }
  >(
    `SELECT g.device_id AS id, d.state, EXISTS (SELECT 1 FROM live_sessions WHERE device_id = g.device_id
       AND node_id IN (SELECT id FROM nodes WHERE seen_at > ?)) AS connected
     FROM device_groups AS g CROSS JOIN devices AS d ON d.id = g.device_id
     WHERE g.name = ? AND g.device_id > ? ORDER BY g.device_id LIMIT ${MEMBERS_AT_ONCE}`,
  )
  const certificates = sqlite.prepare<[string], { status: CertificateStatus; notAfter: number }>(
    'SELECT status, not_after AS notAfter FROM certificates WHERE device_id IN (SELECT value FROM json_each(?))',
  )
  const change = `SELECT epoch, at, kind, device_id AS deviceId, fingerprint, issuer_id AS issuerId,
      (SELECT count(*) FROM nodes) AS nodesTotal,
      (SELECT count(*) FROM nodes WHERE acknowledged_epoch >= c.epoch) AS nodesAcknowledged,
      (SELECT coalesce(sum(sessions_cut), 0) FROM acknowledgements AS a WHERE a.epoch = c.epoch) AS sessionsCut,
      (SELECT max(a.at) - c.at FROM acknowledgements AS a WHERE a.epoch = c.epoch) AS tookMs`
  // What was cleared of retained messages cuts nobody, and may be a hundred changes at once.
  const last = sqlite.prepare<[number], LastChange>(
    `${change} FROM changes AS c WHERE kind <> 'retained' ORDER BY epoch DESC LIMIT ?`,
  )
  const lastOfGroup = sqlite.prepare<[string, number], LastChange>(
    `${change} FROM (SELECT * FROM changes WHERE kind <> 'retained' ORDER BY epoch DESC LIMIT ${CHANGES_LOOKED_AT}) AS c
     WHERE EXISTS (SELECT 1 FROM device_groups AS g WHERE g.device_id = c.device_id AND g.name = ?) LIMIT ?`,
  )
  const jobs = sqlite
    .prepare<[], number>("SELECT count(*) FROM jobs WHERE state IN ('waiting', 'running')")
    .pluck()

  return {
    ofAll(now) {
      const connected = sessions.get(now - NODE_GONE_MS) ?? 0
      return { ...kept(), connected, expired: expired.get(now) ?? 0, expiring: [] }
    },

    async ofGroup(group, windowsMs, now) {
      const counts = { ...nothingCounted(), connected: 0, expired: 0, expiring: windowsMs.map(() => 0) }
      for (let after = ''; ; ) {
        const rows = members.all(now - NODE_GONE_MS, group, after)
        for (const { state, connected } of rows) {
          counts.devices[state] += 1
          counts.connected += connected
        }
        for (const certificate of certificates.all(JSON.stringify(rows.map(({ id }) => id)))) {
          countCertificate(counts, certificate, windowsMs, now)
        }
        if (rows.length < MEMBERS_AT_ONCE) return counts
        after = rows.at(-1)!.id
        await new Promise(resolve => setImmediate(resolve))
      }
    },

    lastChanges: (group, limit) => (group === null ? last.all(limit) : lastOfGroup.all(group, limit)),
    unfinishedJobs: () => jobs.get() ?? 0,
  }
}

function countCertificate(
  counts: RollCounts,
  { status, notAfter }: { status: CertificateStatus; notAfter: number },
  windowsMs: readonly number[],
  now: number,
): void {
  counts.certificates[status] += 1
  if (status !== 'issued' && status !== 'active') return
  if (notAfter <= now) counts.expired += 1
  else for (const [index, ms] of windowsMs.entries()) if (notAfter <= now + ms) counts.expiring[index]! += 1
}
