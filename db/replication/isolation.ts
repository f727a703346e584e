// For how long a broker may go without hearing from PostgreSQL, told to all before it admits anybody: by it a receipt bounds what a broker
// that does not answer can still have connected.
import type { PostgresClient, PostgresSettings } from './postgres.ts'
import { createPostgresLink } from './postgres-link.ts'

/** Sessions are cut at a check each second, and a connection may be slow to fall. */
const SLACK_MS = 5_000

/** Called by a broker when it starts. */
export async function declareIsolation(client: PostgresClient, node: string, cutMs: number): Promise<void> {
  await client.query(
    `INSERT INTO rollcall.node_isolation (node, cut_ms) VALUES ($1, $2)
     ON CONFLICT (node) DO UPDATE SET cut_ms = excluded.cut_ms`,
    [node, cutMs],
  )
}

export type IsolationBounds = {
  /**
   * How long after a change none of these brokers can have a session that it ended, in ms; null where one of them has given no bound.
   * Rejects where PostgreSQL does not answer.
   */
  boundOf(nodes: readonly string[]): Promise<number | null>
  close(): void
}

export function createIsolationBounds(options: {
  settings: PostgresSettings
  name: string
}): IsolationBounds {
  const link = createPostgresLink({ ...options, name: `${options.name} bounds` })
  return {
    boundOf: nodes =>
      link.ask(async client => {
        const { rows } = await client.query<{ known: number; most: number | null }>(
          'SELECT count(*)::int AS known, max(cut_ms)::int AS most FROM rollcall.node_isolation WHERE node = ANY ($1)',
          [nodes],
        )
        const { known = 0, most = null } = rows[0] ?? {}
        return known < nodes.length || most === null ? null : most + SLACK_MS
      }),
    close: link.close,
  }
}
