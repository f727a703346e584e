// The brokers, as each last said of itself, and what an operator has ordered them.
import type { Database } from 'better-sqlite3'
import { REPLICA_TABLE } from '../open.ts'
import type { DrainOrder } from './node-drains.ts'

/** Times in ms since the epoch. `lagMs`: how long the oldest change waits that it has not acted on. */
export type NodeStatus = {
  node: string
  version: string
  startedAt: number
  lastSeen: number
  epoch: number
  lagMs: number
  sessions: number
  /** Of the registry that several machines share, as the broker last said. `behind`: groups that came since. */
  replica: { sequence: number; behind: number; ageMs: number } | null
  /** Null without a bus. */
  busConnected: boolean | null
  /** Null where it is not drained. `finished`: it acts on the order, and said that it has no session. */
  drain: (DrainOrder & { finished: boolean }) | null
}
type NodeRow = Omit<NodeStatus, 'lagMs' | 'replica' | 'busConnected' | 'drain'> & {
  waitingSince: number | null
  replicaSequence: number | null
  replicaAgeMs: number | null
  busConnected: number | null
  followed: number | null
  at: number | null
  overMs: number
  moved: number
  serverReference: string
}

export type NodeReader = (now: number) => NodeStatus[]

export function prepareNodes(sqlite: Database): NodeReader {
  const nodes = sqlite.prepare<[], NodeRow>(
    `SELECT id AS node, version, started_at AS startedAt, seen_at AS lastSeen, acknowledged_epoch AS epoch, sessions,
            replica_sequence AS replicaSequence, replica_age_ms AS replicaAgeMs, bus_connected AS busConnected,
            drain_at AS followed, at, over_ms AS overMs, moved, server_reference AS serverReference,
            (SELECT at FROM changes WHERE epoch > acknowledged_epoch ORDER BY epoch LIMIT 1) AS waitingSince
     FROM nodes LEFT JOIN node_drains ON node_id = id ORDER BY id`,
  )
  const head = prepareHead(sqlite)
  return now => {
    const last = head()
    return nodes.all().map(row => toStatus(row, last, now))
  }
}

function toStatus(row: NodeRow, last: number, now: number): NodeStatus {
  const { waitingSince, replicaSequence: sequence, replicaAgeMs, followed, ...rest } = row
  const { at, overMs, moved, serverReference, ...node } = rest
  const order = at === null ? null : { at, overMs, moved: moved === 1, serverReference }
  return {
    ...node,
    lagMs: waitingSince === null ? 0 : Math.max(0, now - waitingSince),
    replica:
      sequence === null ? null : { sequence, behind: Math.max(0, last - sequence), ageMs: replicaAgeMs ?? 0 },
    busConnected: node.busConnected === null ? null : node.busConnected === 1,
    drain: order === null ? null : { ...order, finished: followed === order.at && node.sessions === 0 },
  }
}

/** The last group of changes in this file where it is a replica; else 0. */
function prepareHead(sqlite: Database): () => number {
  if (sqlite.prepare('SELECT 1 FROM sqlite_schema WHERE name = ?').get(REPLICA_TABLE) === undefined)
    return () => 0
  const head = sqlite.prepare<[], number>(`SELECT sequence FROM ${REPLICA_TABLE}`).pluck()
  return () => head.get() ?? 0
}
