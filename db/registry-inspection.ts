// What can be told of a registry, or of a backup of one, without changing anything beside it: SQLite leaves files behind where a
// write-ahead log is opened that nobody else has open, so such a file is read as one that cannot change.
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { findIssuer } from '../pki/chain.ts'
import { APPLICATION_ID, schemaVersion } from './migrate.ts'
import { compromisedCertificatesSql, compromisedKeySql } from './roll/compromised-certificates.ts'

export type RegistryInspection = {
  ours: boolean
  schema: number
  /** What this version reads and writes. */
  schemaKnown: number
  /** What SQLite's check says; `ok` where the file is whole. */
  findings: string
  /** When the last audit row was written, in ms since the epoch. */
  lastChangeAt: number | null
  /** Fingerprints of certificates that are not revoked although their key is, or what it obtained. */
  compromised: string[]
}

/** Whether it could be opened without making a file: its log is either gone or in use. */
export function canInspect(file: string): boolean {
  return !existsSync(`${file}-wal`) || existsSync(`${file}-shm`)
}

/** The schema alone, in no time; null where the file cannot be read as a database, which a closer look then says. */
export function schemaIn(file: string): number | null {
  try {
    return look(file, value => Number(value('PRAGMA user_version')))
  } catch {
    return null
  }
}

/** @throws where SQLite cannot read it at all. */
export function inspectRegistry(file: string): RegistryInspection {
  return look(file, value => {
    const ours = value('PRAGMA application_id') === APPLICATION_ID
    const findings = String(value('PRAGMA quick_check(5)'))
    return {
      ours,
      schema: Number(value('PRAGMA user_version')),
      schemaKnown: schemaVersion,
      findings,
      lastChangeAt: ours && findings === 'ok' ? lastChange(value) : null,
      compromised: ours && findings === 'ok' ? compromised(value) : [],
    }
  })
}

/** How far the audit log reaches, and the hash of one of its rows; null where there is none of this number. */
export function inspectAuditRow(
  file: string,
  seq: number,
): { lastSeq: number; hash: string | null; checkpoints: number } {
  return opened(file, database => ({
    lastSeq: Number(database.prepare('SELECT coalesce(max(seq), 0) AS seq FROM audit').get()?.['seq']),
    checkpoints: Number(database.prepare('SELECT count(*) AS n FROM audit_checkpoints').get()?.['n']),
    hash: (database.prepare('SELECT hash FROM audit WHERE seq = ?').get(seq)?.['hash'] as string) ?? null,
  }))
}

/** Pinned certificates: how many follow the CA that signed them, and which do not although it is on record. */
type PinnedLook = { bound: number; loose: { fingerprint: string; deviceId: string; issuer: string }[] }

/** Each is parsed. */
const PINNED_LOOKED_AT_MAX = 20_000

/** @throws where SQLite cannot read it at all. */
export function lookAtPinned(file: string): PinnedLook {
  return opened(file, database => {
    const issuers = database.prepare('SELECT id, name, der FROM issuers').all().map(issuerOf)
    const bound = database
      .prepare("SELECT count(*) AS n FROM certificates WHERE trust = 'pinned' AND issuer_id IS NOT NULL")
      .get()?.['n']
    const rows = database.prepare(
      `SELECT fingerprint, device_id, der FROM certificates WHERE trust = 'pinned' AND issuer_id IS NULL
       LIMIT ${PINNED_LOOKED_AT_MAX}`,
    )
    const loose: PinnedLook['loose'] = []
    for (const row of rows.iterate()) {
      const issuer = findIssuer(new X509Certificate(row['der'] as Uint8Array), issuers)
      if (issuer === null) continue
      const { name } = issuer as ReturnType<typeof issuerOf>
      loose.push({
        fingerprint: String(row['fingerprint']),
        deviceId: String(row['device_id']),
        issuer: name,
      })
    }
    return { bound: Number(bound), loose }
  })
}

/** Certificates that admit but for what RFC 5280 says of them, at most so many; `graced` are admitted all the same. */
export function lookAtNonconforming(file: string, limit: number) {
  return opened(file, database => {
    const known = database
      .prepare("SELECT count(*) AS n FROM pragma_table_info('certificates') WHERE name = 'defect'")
      .get()?.['n']
    if (known === 0) return { total: 0, graced: 0, shown: [] }
    const where =
      "FROM certificates WHERE defect IS NOT NULL AND status IN ('pending', 'issued', 'active', 'superseded', 'suspended')"
    const counted = database
      .prepare(`SELECT count(*) AS total, coalesce(sum(defect_grace), 0) AS graced ${where}`)
      .get()
    const rows = database
      .prepare(
        `SELECT fingerprint, device_id AS deviceId, defect ${where} ORDER BY device_id, fingerprint LIMIT ?`,
      )
      .all(limit)
    return {
      total: Number(counted?.['total'] ?? 0),
      graced: Number(counted?.['graced'] ?? 0),
      shown: rows.map(row => ({
        fingerprint: String(row['fingerprint']),
        deviceId: String(row['deviceId']),
        defect: String(row['defect']),
      })),
    }
  })
}

function issuerOf(row: Record<string, unknown>) {
  const certificate = new X509Certificate(row['der'] as Uint8Array)
  const untimed = { parentId: null, notBefore: 0, notAfter: 0 }
  return { ...untimed, id: String(row['id']), name: String(row['name']), certificate }
}

/** Gives the first value that a query answers with. */
type Ask = (sql: string) => unknown

function look<Seen>(file: string, seen: (value: Ask) => Seen): Seen {
  return opened(file, database => seen(sql => Object.values(database.prepare(sql).get() ?? {})[0]))
}

function opened<Seen>(file: string, seen: (database: DatabaseSync) => Seen): Seen {
  const inUse = existsSync(`${file}-wal`)
  const url = new URL(`${pathToFileURL(file).href}${inUse ? '' : '?immutable=1'}`)
  const database = new DatabaseSync(url, { readOnly: true, timeout: 5_000 })
  try {
    return seen(database)
  } finally {
    database.close()
  }
}

function compromised(value: Ask): string[] {
  const hasLineage = value("SELECT 1 FROM sqlite_schema WHERE name = 'certificate_lineage'") === 1
  return JSON.parse(String(value(hasLineage ? compromisedCertificatesSql : compromisedKeySql)))
}

function lastChange(value: Ask): number | null {
  const at = value('SELECT at FROM audit ORDER BY seq DESC LIMIT 1')
  return typeof at === 'number' ? at : null
}
