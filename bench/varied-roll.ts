// A roll of any size with devices of many kinds, for benchmarks alone: states, groups of all sizes, last connections, kept sessions.
import type { Database } from 'better-sqlite3'
import { closeRegistry, openForWriting } from '../db/index.ts'
import { fillRoll } from './large-roll.ts'

/** Makes the registry. Its clock is that of the node `bench`, a day ahead. */
export async function fillVariedRoll(file: string, count: number): Promise<void> {
  const registry = openForWriting(file)
  registry.sqlite
    .prepare(
      `INSERT INTO issuers (id, name, parent_id, kind, der, not_before, not_after, created_at)
       VALUES ('bench', 'bench', NULL, 'issuing', x'00', 0, 1, 0)`,
    )
    .run()
  await fillRoll(registry, 'bench', count)
  makeVaried(registry.sqlite, Date.now())
  await closeRegistry(registry)
}

/** What a filled roll has of nothing: last connections, sessions, messages that wait, all states. The device's number decides. */
function makeVaried(sqlite: Database, now: number): void {
  const number = 'CAST(substr(device_id, 7) AS INTEGER)'
  sqlite.pragma('synchronous = OFF')
  sqlite.pragma('cache_size = -1000000')
  sqlite.transaction(() => {
    // Four of five have connected within the last 400 days, most of them lately.
    sqlite
      .prepare(
        `UPDATE last_seen SET seen_at = @now - n * n * 86400 / 100000 * 345, connected_at = @now - n * n * 86400 / 100000 * 345 - 3600000 - n,
           disconnected_at = @now - n * n * 86400 / 100000 * 345, reason = 'client_disconnect', address = '192.0.2.1', fingerprint = @print,
           protocol_level = 5, bytes_in = n, bytes_out = n, session_kept = n % 7 = 0, messages_waiting = CASE n % 7 WHEN 0 THEN n % 50 ELSE 0 END
         FROM (SELECT device_id AS d, (${number} * 7919) % 1000 AS n FROM last_seen) WHERE device_id = d AND ${number} % 5 <> 4`,
      )
      .run({ now, print: 'f'.repeat(64) })
    sqlite
      .prepare(
        `UPDATE last_seen SET seen_at = 8640000000000000, node_id = 'bench', connected_at = @now - ${number} % 86400000
         WHERE device_id IN (SELECT device_id FROM live_sessions)`,
      )
      .run({ now })
    sqlite.prepare("UPDATE devices SET state = 'registered' WHERE substr(id, -2) = '99'").run()
    sqlite.prepare("UPDATE devices SET state = 'decommissioned' WHERE substr(id, -4) = '1111'").run()
    sqlite.prepare("INSERT INTO device_groups SELECT id, 'all' FROM devices").run()
    sqlite
      .prepare("INSERT INTO device_groups SELECT id, 'tenth' FROM devices WHERE substr(id, -1) = '3'")
      .run()
  })()
  sqlite.pragma('wal_checkpoint(TRUNCATE)')
}
