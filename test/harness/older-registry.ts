// A registry as an earlier version left it: made by the migrations that there were, holding what of today's rows its tables can.
import Sqlite from 'better-sqlite3'
import { type AuditRow, type ChainEnd, chainStart, nextRow } from '../../db/audit-chain.ts'
import { migrate } from '../../db/migrate.ts'

/** What triggers of the tables themselves keep. */
const keptByTriggers = ['roll_counts', 'device_attributes', 'last_seen']

/** @throws where the rows do not fit, or point to rows that there were not. */
export function makeOlderRegistry(source: string, target: string, schema: number): void {
  const older = new Sqlite(target)
  try {
    older.pragma('journal_mode = WAL')
    older.pragma('foreign_keys = OFF')
    migrate(older, schema)
    older.prepare('ATTACH ? AS today').run(source)
    older.transaction(() => {
      for (const table of namesIn(older, "SELECT name FROM main.sqlite_schema WHERE type = 'table'")) {
        if (table.startsWith('sqlite_') || keptByTriggers.includes(table)) continue
        const names = namesIn(
          older,
          `SELECT name FROM pragma_table_info('${table}', 'main')
           WHERE name IN (SELECT name FROM pragma_table_info('${table}', 'today'))`,
        )
        // Hashes of before actors had kinds are others, and nobody signed these.
        const isChained = names.includes('prev_hash') && !names.includes('actor_kind')
        if (table === 'audit' && isChained) chainAsBefore(older)
        if ((table === 'audit' && isChained) || (table === 'audit_checkpoints' && !hasKinds(older))) continue
        const columns = names.join(', ')
        // The chain of audit rows refuses any other order than theirs, and their first column is their number.
        older.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM today.${table} ORDER BY 1`)
      }
    })()
    const dangling = older.pragma('foreign_key_check') as unknown[]
    if (dangling.length > 0) throw new Error(`rows point nowhere: ${JSON.stringify(dangling)}`)
  } finally {
    older.close()
  }
}

function hasKinds(older: Sqlite.Database): boolean {
  return namesIn(older, "SELECT name FROM pragma_table_info('audit', 'main')").includes('actor_kind')
}

/** Writes the rows as a version without kinds of actors would have. */
function chainAsBefore(older: Sqlite.Database): void {
  const insert = older.prepare(
    `INSERT INTO main.audit (seq, at, actor, action, target, outcome, reason, request_id, detail, prev_hash, hash)
     VALUES (@seq, @at, @actor, @action, @target, @outcome, @reason, @requestId, @detail, @prevHash, @hash)`,
  )
  let end: ChainEnd = chainStart
  const rows = older
    .prepare<[], Omit<AuditRow, 'prevHash' | 'hash'>>(
      `SELECT seq, at, actor, action, target, outcome, reason, request_id AS requestId, detail
       FROM today.audit ORDER BY seq`,
    )
    .all()
  for (const row of rows) {
    end = nextRow(end, { ...row, detail: JSON.parse(row.detail) })
    insert.run(end)
  }
}

function namesIn(sqlite: Sqlite.Database, sql: string): string[] {
  return sqlite.prepare<[], string>(sql).pluck().all()
}
