// Which tables of the registry all machines share, and how a row of each is found again: derived from SQLite's own schema, so that
// a migration needs nothing here.
import type { Database } from 'better-sqlite3'

/** Tables that belong to one file, each with its reason. Every other table is replicated. */
const localTables: Readonly<Record<string, string>> = {
  replica: 'says how far this file is in step with the registry',
}

/**
 * Tables that a broker reads nothing of, so that its replica is without them: the audit log, hashes of tokens, secrets of webhooks, operators,
 * what provisioning alone decides by. What a broker does read of a table that stands here fails when it is prepared.
 */
export const notOfBrokers: readonly string[] = [
  ...['acknowledgements', 'acme_accounts', 'api_tokens', 'audit', 'audit_checkpoints'],
  ...['claim_allowlist', 'claimed_devices', 'claims', 'crls', 'deadlines', 'denials', 'device_attributes'],
  ...['enrollment_tokens', 'idempotency_keys', 'idevids', 'issuances', 'jobs'],
  ...['last_seen', 'live_sessions', 'operator_certificates', 'public_keys', 'refusals', 'roll_counts'],
  ...['session_subscriptions', 'tpm_anchors', 'webhooks'],
]

export type ReplicatedTable = {
  name: string
  /** What a row is found by: the primary key of a table WITHOUT ROWID, else its row number, which orders rows and so is shared, too. */
  key: readonly string[]
  /** What is kept of a row: its row number first where that is no column, then the columns in their order. */
  columns: readonly string[]
  /** Those that hold integers alone. */
  integers: ReadonlySet<string>
}

/** SQLite's own table of the numbers that AUTOINCREMENT gave. It takes no triggers; it is compared after each group. */
export const sequenceTable: ReplicatedTable = {
  name: 'sqlite_sequence',
  key: ['name'],
  columns: ['name', 'seq'],
  integers: new Set(),
}

const ROW_NUMBER = 'rowid'

type TableRow = { name: string; wr: number; strict: number }
type ColumnRow = { name: string; type: string; pk: number; hidden: number }

/** All replicated tables but SQLite's own, in the order of their names. Throws where a table could not be replicated exactly. */
export function readReplicatedTables(sqlite: Database): ReplicatedTable[] {
  const tables = sqlite.prepare<[], TableRow>(
    `SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name`,
  )
  const columnsOf = sqlite.prepare<[string], ColumnRow>(
    'SELECT name, type, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid',
  )
  return tables
    .all()
    .filter(({ name }) => !(name in localTables))
    .map(({ name, wr, strict }) => {
      const columns = columnsOf.all(name)
      if (strict !== 1 || columns.some(({ hidden }) => hidden !== 0))
        throw new Error(
          `the table ${name} cannot be replicated: it must be STRICT, without generated columns`,
        )
      const names = columns.map(column => column.name)
      const primary = columns.filter(({ pk }) => pk > 0).toSorted((one, other) => one.pk - other.pk)
      const integers = new Set(columns.filter(({ type }) => type === 'INTEGER').map(column => column.name))
      if (wr === 1) return { name, key: primary.map(column => column.name), columns: names, integers }
      const [only] = primary
      // Such a column is the row number itself (SQLite, "ROWIDs and the INTEGER PRIMARY KEY").
      if (primary.length === 1 && only!.type === 'INTEGER')
        return { name, key: [only!.name], columns: names, integers }
      return {
        ...{ name, key: [ROW_NUMBER], columns: [ROW_NUMBER, ...names] },
        integers: integers.add(ROW_NUMBER),
      }
    })
}
