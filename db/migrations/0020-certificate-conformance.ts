// Where certificates of others that are on the roll depart from RFC 5280, so that admission need not read them. What an older
// version let in is admitted on while the grace lasts, and each is told of in the audit log.
// Append-only: a landed migration is never edited; the next one goes into a file of its own.
import type { Database } from 'better-sqlite3'
import { exceedsPathLength, isConstrained } from '../../pki/anchor-policy.ts'
import { type ReadCertificate, readCertificate } from '../../pki/certificate-reader.ts'
import { defectOf, type LeafDefect } from '../../pki/leaf-conformance.ts'
import { type ChainEnd, chainStart, nextRow } from '../audit-chain.ts'

export const name = 'certificate-conformance'

const columns = `
-- The reason code of the first thing for which RFC 5280 forbids to rely on it; null where there is none.
ALTER TABLE certificates ADD COLUMN defect TEXT;
-- Whether it is admitted all the same, as one that an older version let in.
ALTER TABLE certificates ADD COLUMN defect_grace INTEGER NOT NULL DEFAULT 0 CHECK (defect_grace IN (0, 1));
CREATE INDEX certificates_defective ON certificates (fingerprint) WHERE defect IS NOT NULL;
-- Whether devices of the CA may have certificates of X.509 version 1.
ALTER TABLE trust_anchors ADD COLUMN accept_v1 INTEGER NOT NULL DEFAULT 0 CHECK (accept_v1 IN (0, 1));
`

type Row = { fingerprint: string; deviceId: string; issuerId: string | null; trust: string; der: Buffer }
type Above = { id: string; parentId: string | null; der: Buffer }

/** As far as chains are followed. */
const LINE_MAX = 3
const AT_ONCE = 1_000

export function apply(db: Database): void {
  db.exec(columns)
  const above = defectsAbove(db)
  const mark = db.prepare('UPDATE certificates SET defect = ?, defect_grace = 1 WHERE fingerprint = ?')
  const next = db.prepare<[string], Row>(
    `SELECT fingerprint, device_id AS deviceId, issuer_id AS issuerId, trust, der FROM certificates
     WHERE fingerprint > ? AND (issuer_id IS NULL OR issuer_id IN (SELECT id FROM issuers WHERE kind = 'foreign'))
     ORDER BY fingerprint LIMIT ${AT_ONCE}`,
  )
  for (let rows = next.all(''); rows.length > 0; rows = next.all(rows.at(-1)!.fingerprint)) {
    for (const { fingerprint, deviceId, issuerId, trust, der } of rows) {
      const own = defectOf(der, { pinned: trust === 'pinned' })
      const defect = own ?? (trust === 'pinned' ? null : (above.get(issuerId ?? '') ?? null))
      if (defect === null) continue
      mark.run(defect, fingerprint)
      appendRow(db, fingerprint, { deviceId, defect })
    }
  }
}

/** What is wrong with a CA of somebody else, or with one above it, by its ID. */
function defectsAbove(db: Database): Map<string, LeafDefect> {
  const rows = db.prepare<[], Above>('SELECT id, parent_id AS parentId, der FROM issuers').all()
  const issuers = new Map(rows.map(row => [row.id, row]))
  const found = new Map<string, LeafDefect>()
  for (const { id } of rows) {
    const line: ReadCertificate[] = []
    for (
      let link = issuers.get(id);
      link && line.length < LINE_MAX;
      link = issuers.get(link.parentId ?? '')
    ) {
      const reading = readCertificate(link.der)
      // Such a CA signs nothing that OpenSSL would verify; certificates below it are decided by the chain.
      if ('certificate' in reading) line.push(reading.certificate)
    }
    if (line.some(isConstrained)) found.set(id, 'issuer_constrained')
    else if (exceedsPathLength(line)) found.set(id, 'issuer_path_exceeded')
  }
  return found
}

function appendRow(db: Database, target: string, detail: Record<string, string>): void {
  const last = db
    .prepare<[], ChainEnd>(
      `SELECT max(seq, coalesce((SELECT q.seq FROM sqlite_sequence q WHERE q.name = 'audit'), 0)) AS seq, hash
       FROM audit ORDER BY audit.seq DESC LIMIT 1`,
    )
    .get()
  const row = nextRow(last ?? chainStart, {
    ...{ at: Date.now(), actor: 'provisioning', actorKind: 'service', action: 'certificate.nonconforming' },
    ...{ target, detail, outcome: 'done', reason: detail['defect'] ?? null, requestId: null },
  })
  db.prepare(
    `INSERT INTO audit (seq, at, actor, actor_kind, action, target, outcome, reason, request_id, detail, prev_hash, hash)
     VALUES (@seq, @at, @actor, @actorKind, @action, @target, @outcome, @reason, @requestId, @detail, @prevHash, @hash)`,
  ).run(row)
}
