// Versions of what nodes write for each other, on the bus and in PostgreSQL. All write the same one, which only grows, and only once every
// node knows the next one: so nodes of two versions of the software go together while one after the other is replaced.
import type { PostgresClient } from '../replication/postgres.ts'

/** What a node reads: all from `oldest` to `newest`, those that it may write among them. */
export type Formats = { oldest: number; newest: number }

/**
 * Of this version of the software. A change of what nodes write, which a node of the version before would not read as it is meant, is a
 * new format: raise `newest`, go on reading and writing the one before, and write the new one where the cluster is at it. `oldest` is raised
 * only together with a step of the tables that rewrites what is stored in an older one.
 */
export const FORMATS: Formats = { oldest: 1, newest: 1 }

type Ask = Pick<PostgresClient, 'query'>

/**
 * In the transaction in which a node joins, under its lock. Gives the format that all nodes write now.
 * @throws Error where this node does not read it, or where others write one that is too new for it
 */
export async function assertFormats(client: Ask, { oldest, newest }: Formats): Promise<number> {
  const { rows } = await client.query<{ format: number }>('SELECT format FROM rollcall_cluster.cluster')
  const format = rows[0]?.format ?? 1
  if (newest < format)
    throw new Error(
      `the brokers on this bus write format ${format}, which this version does not know (it knows ${shown(oldest, newest)}): start a newer version`,
    )
  if (oldest > format)
    throw new Error(
      `the brokers on this bus write format ${format}, which this version does not know any more (it knows ${shown(oldest, newest)}): bring all brokers to a version between first`,
    )
  return format
}

function shown(oldest: number, newest: number): string {
  return oldest === newest ? String(newest) : `${oldest} to ${newest}`
}

/**
 * Has all nodes write the newest format that each of them knows, where that is newer than the one they write. Nobody joins meanwhile. Gives
 * the one to write.
 */
export async function raiseFormat(client: Ask): Promise<number> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_advisory_xact_lock(4711002)')
    const { rows } = await client.query<{ format: number }>(
      `UPDATE rollcall_cluster.cluster SET format = greatest(format,
         (SELECT min(newest_format) FROM rollcall_cluster.nodes WHERE NOT ended)) RETURNING format`,
    )
    await client.query('COMMIT')
    return rows[0]?.format ?? 1
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  }
}
