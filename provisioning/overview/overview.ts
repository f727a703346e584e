// One look at the whole service: put together from what is kept anyway, and from counts that are made beside the answers.
// Somebody bound to a group is shown that group's numbers, and nothing that others could be told from.
import type { Database } from 'better-sqlite3'
import { type NodeStatus, prepareNodes } from '../../db/nodes/node-reader.ts'
import { type OverviewReader, prepareOverview, type RollCounts } from '../../db/overview/overview-reader.ts'
import type { Within } from '../lifecycle-job.ts'

type ServerCertificateValidity = { notAfter: number; names: string[] }
export type Overview = {
  at: number
  counts: RollCounts
  /** Null for somebody bound to a group. */
  service: {
    nodes: NodeStatus[]
    /** How many devices rely on each issuing CA; empty until they are counted for the first time. */
    devicesOfIssuer: ReadonlyMap<string, number>
    server: ServerCertificateValidity
    jobs: number
  } | null
  changes: ReturnType<OverviewReader['lastChanges']>
}
export type OverviewService = {
  of(scope: string | null): Promise<Overview>
  /** What the lifecycle job counted. */
  expiring(within: Within, certificates: number): void
}

export const windowsMs: Readonly<Record<Within, number>> = {
  '24h': 86_400_000,
  '7d': 7 * 86_400_000,
  '30d': 30 * 86_400_000,
}
const names = Object.keys(windowsMs) as Within[]
const KEPT_MS = 1_000
/** Counting a group walks its members. */
const GROUP_KEPT_MS = 10_000
const GROUPS_KEPT_MAX = 100
const CHANGES_SHOWN = 20
const ISSUERS_COUNTED_EVERY_MS = 60_000

type Kept = { until: number; overview: Promise<Overview> }

export function createOverviewService(parts: {
  sqlite: Database
  countDevices: (at: number) => Promise<Map<string, number>>
  server: () => ServerCertificateValidity
  now: () => number
}): OverviewService {
  const { now } = parts
  const reader = prepareOverview(parts.sqlite)
  const nodes = prepareNodes(parts.sqlite)
  const kept = new Map<string | null, Kept>()
  const expiring = new Map<Within, number>()
  let devicesOfIssuer: ReadonlyMap<string, number> = new Map()
  let countedAt = Number.NEGATIVE_INFINITY

  /** Beside the answer, which shows what was counted last. */
  function countIssuers(): void {
    if (Math.abs(now() - countedAt) < ISSUERS_COUNTED_EVERY_MS) return
    countedAt = now()
    parts.countDevices(now()).then(
      counts => {
        devicesOfIssuer = counts
      },
      () => {}, // the registry is closed or out of order: the next look tries again
    )
  }

  async function look(scope: string | null): Promise<Overview> {
    const at = now()
    const changes = reader.lastChanges(scope, CHANGES_SHOWN)
    if (scope !== null) {
      const counts = await reader.ofGroup(
        scope,
        names.map(name => windowsMs[name]),
        at,
      )
      return { at, counts, service: null, changes }
    }
    countIssuers()
    const counts = { ...reader.ofAll(at), expiring: names.map(name => expiring.get(name) ?? 0) }
    const service = {
      nodes: nodes(at),
      devicesOfIssuer,
      server: parts.server(),
      jobs: reader.unfinishedJobs(),
    }
    return { at, counts, service, changes }
  }

  return {
    of(scope) {
      const at = performance.now()
      const known = kept.get(scope)
      if (known !== undefined && at < known.until) return known.overview
      if (kept.size >= GROUPS_KEPT_MAX) kept.clear()
      const overview = look(scope)
      kept.set(scope, { until: at + (scope === null ? KEPT_MS : GROUP_KEPT_MS), overview })
      overview.catch(() => kept.delete(scope))
      return overview
    },
    expiring: (within, certificates) => void expiring.set(within, certificates),
  }
}
