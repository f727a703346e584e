// Tables in a schema of PostgreSQL and their version: steps that were not taken yet are, by one process at a time and in one transaction.
import { RegistryError } from '../registry-error.ts'
import type { PostgresClient } from './postgres.ts'

export type PostgresTables = {
  schema: string
  /** SQL that makes version 1 of what may be nothing, version 2 of version 1 and so on. */
  steps: readonly string[]
  /** The oldest version whose processes go together with these tables: they may run and start. Only this one where it is left out. */
  oldest?: number
  /** Key of the advisory lock under which they are taken. */
  lock: string
  /** Asked in the transaction that took steps, with the version from before, 0 where there were no tables with one, and `oldest`. */
  taken?(client: Asks, from: number, oldest: number): Promise<unknown>
}
type Asks = Pick<PostgresClient, 'query'>

/**
 * Brings the tables to the version this code knows. Throws a RegistryError where they are newer, unless they say that this one goes
 * together with them; where `mayChange` is false, also where
 * they are missing (`registry_missing`) or older (`registry_outdated`).
 */
export async function prepareTables(client: Asks, tables: PostgresTables, mayChange = true): Promise<void> {
  const known = tables.steps.length
  let found = await versionOf(client, tables.schema)
  if ((found?.version ?? 0) < known && mayChange) {
    await client.query('BEGIN')
    try {
      await takeSteps(client, tables)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK').catch(() => {})
      throw error
    }
    found = await versionOf(client, tables.schema)
  }
  if (found === null)
    throw new RegistryError(
      'registry_missing',
      'PostgreSQL holds no registry yet: start a provisioning service on it first',
    )
  const { version, oldest } = found
  if (version < known || oldest > known)
    throw new RegistryError(
      version > known ? 'registry_newer' : 'registry_outdated',
      `the tables in PostgreSQL (schema ${tables.schema}) have version ${version}, this version knows ${known}: ${
        version > known
          ? 'start the version that made them, or a newer one'
          : 'start a provisioning service of this version first'
      }`,
    )
}

async function takeSteps(
  client: Asks,
  { schema, steps, lock, taken, ...tables }: PostgresTables,
): Promise<void> {
  const oldest = tables.oldest ?? steps.length
  await client.query('SELECT pg_advisory_xact_lock($1)', [lock])
  const from = (await versionOf(client, schema))?.version ?? 0
  if (from >= steps.length) return
  await client.query(
    // Not by IF NOT EXISTS: that asks for the right to make schemas where there is one, too.
    `DO $$ BEGIN IF to_regnamespace('${schema}') IS NULL THEN CREATE SCHEMA ${schema}; END IF; END $$;
     CREATE TABLE IF NOT EXISTS ${schema}.schema_version (version integer NOT NULL);
     ALTER TABLE ${schema}.schema_version ADD COLUMN IF NOT EXISTS oldest integer`,
  )
  for (const step of steps.slice(from)) await client.query(step)
  await client.query(`DELETE FROM ${schema}.schema_version`)
  await client.query(`INSERT INTO ${schema}.schema_version (version, oldest) VALUES ($1, $2)`, [
    steps.length,
    oldest,
  ])
  await taken?.(client, from, oldest)
}

/** Null where there are no tables, or tables without a version. */
async function versionOf(client: Asks, schema: string): Promise<{ version: number; oldest: number } | null> {
  const { rows } = await client.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
    `${schema}.schema_version`,
  ])
  if (rows[0]?.there !== true) return null
  // As JSON, for tables that an earlier version made have no `oldest`.
  const found = await client.query<{ row: { version: number; oldest?: number | null } }>(
    `SELECT to_jsonb(v) AS row FROM ${schema}.schema_version v`,
  )
  const row = found.rows[0]?.row
  return row === undefined ? null : { version: row.version, oldest: row.oldest ?? row.version }
}
