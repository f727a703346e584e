// A registry as an earlier version left it: made by the migrations that there were, holding what of today's rows its tables can.
import Sqlite from 'better-sqlite3'
import { migrate } from '../../db/migrate.ts'

/** What triggers of the tables themselves keep. */
const keptByTriggers = ['roll_counts', 'device_attributes']

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
        const columns = namesIn(
          older,
          `SELECT name FROM pragma_table_info('${table}', 'main')
           WHERE name IN (SELECT name FROM pragma_table_info('${table}', 'today'))`,
        ).join(', ')
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

function namesIn(sqlite: Sqlite.Database, sql: string): string[] {
  return sqlite.prepare<[], string>(sql).pluck().all()
}
