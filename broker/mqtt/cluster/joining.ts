// How a node joins the others: what it opens for that, closed again where it cannot.
import { type ClusterConnections, createClusterConnections } from '../../../db/cluster/cluster-connections.ts'
import {
  type Joined,
  joinCluster,
  leaveCluster,
  prepareCluster,
  type RetainedState,
  readRetained,
  readStoredGroups,
  type StoredGroups,
} from '../../../db/cluster/cluster-store.ts'
import { FORMATS, type Formats } from '../../../db/cluster/formats.ts'
import { clusterTables } from '../../../db/cluster/schema.ts'
import type { PostgresSettings } from '../../../db/replication/postgres.ts'
import type { PostgresTables } from '../../../db/replication/postgres-tables.ts'
import type { BusAddress } from '../../bus/address.ts'
import { type BusConnection, connectBus } from '../../bus/connection.ts'

export type JoinOptions = {
  bus: BusAddress
  postgres: PostgresSettings
  /** Of this node: no two that run at once have the same one. */
  name: string
  /** Of tests: those of a later version of the software. */
  versions?: { tables: PostgresTables; formats: Formats } | undefined
}

/** `writing` is for groups alone, one after the other. */
export type Membership = Record<'writing' | 'asking', ClusterConnections> & {
  joined: Joined
  formats: Formats
  /** What was retained then. */
  retained: RetainedState[]
  /** Shared subscriptions of the sessions of other nodes then: one that has ended, or has been killed just now, tells nothing. */
  storedGroups: readonly StoredGroups[]
  nats: BusConnection
}

const CONNECTIONS = 4

/** Rejects where PostgreSQL or the bus cannot be reached, or the node does not go together with the others; nothing stays open then. */
export async function joinNodes({ bus, postgres, ...options }: JoinOptions): Promise<Membership> {
  const name = `rollcall broker ${options.name}`
  const { tables, formats } = options.versions ?? { tables: clusterTables, formats: FORMATS }
  const writing = createClusterConnections(postgres, name, 1)
  const asking = createClusterConnections(postgres, name, CONNECTIONS)
  let joined: Joined | null = null
  try {
    await asking.ask(client => prepareCluster(client, tables))
    joined = await asking.ask(client => joinCluster(client, options.name, formats))
    const retained = await asking.ask(client => readRetained(client, null))
    const storedGroups = await asking.ask(readStoredGroups)
    const nats = await connectBus(bus, name)
    return { writing, asking, joined, formats, retained, storedGroups, nats }
  } catch (error) {
    const incarnation = joined?.incarnation
    // Else the others would hold it for a node that is silent.
    if (incarnation !== undefined)
      await asking.ask(client => leaveCluster(client, incarnation)).catch(() => {})
    await asking.close()
    throw error
  }
}
