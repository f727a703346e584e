// What the CRLs of trust anchors revoke. A list is written in slices under a number of its own and comes in force in one
// transaction with audit and change row: until then, and after a crash, the one before stands.
import type { Selectable } from 'kysely'
import type { Revocation } from '../../pki/revocation-list.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'
import { markSubordinates } from './issuer-store.ts'
import { anchorIn } from './trust-anchors.ts'

/** A list without its entries. Times in ms since the epoch; `hash` is the SHA-256 of the DER in hex. */
type CrlFacts = {
  number: string | null
  thisUpdate: number
  nextUpdate: number | null
  scope: string
  hash: string
}
type CrlInForce = CrlFacts & { entries: number; importedAt: number }

/** Where an anchor's CRL stands: the list in force, and where newer ones come from. */
export type IssuerCrlStatus = {
  issuerId: string
  inForce: CrlInForce | null
  url: string | null
  checkedAt: number | null
  error: string | null
}

export type IssuerCrlWriter = {
  /** Gives the number to write the list under, or null where this very list is in force. Throws `crl_outdated`. */
  beginCrl(issuerId: string, facts: CrlFacts): Promise<number | null>
  /** Gives how many of these were not written yet, and how many of them the list in force has too. */
  writeRevocations(
    crlId: number,
    revocations: readonly Revocation[],
  ): Promise<{ entries: number; kept: number }>
  /**
   * Gives the epoch where anything changed for a certificate, else null. `kept` of the list before stay revoked. Throws `crl_outdated`.
   */
  putCrlInForce(
    crlId: number,
    counted: { entries: number; kept: number },
    actor: Actor,
  ): Promise<number | null>
  /** Takes away at most `limit` rows of lists that are not in force; gives how many there were. */
  dropCrls(limit: number): Promise<number>
  setCrlUrl(issuerId: string, url: string | null, actor: Actor): Promise<void>
  /** Notes that a newer list was looked for; `error` says why there was none. */
  noteCrlCheck(issuerId: string, error: string | null): Promise<void>
}

/** No import takes so long. */
const IMPORT_MS_MAX = 3_600_000

export function createIssuerCrlWriter(registry: Registry, now: () => number): IssuerCrlWriter {
  const { sqlite } = registry
  /** The list that was begun last, and the hash of the one in force then. */
  let begun: { crlId: number; inForce: string | null } | null = null
  const insert = sqlite.prepare<[number, string, number, string]>(
    'INSERT OR IGNORE INTO issuer_revocations (crl_id, serial_number, revoked_at, reason) VALUES (?, ?, ?, ?)',
  )
  const isInForce = sqlite
    .prepare<[number, string], number>(
      `SELECT 1 FROM issuer_revocations WHERE crl_id =
         (SELECT i.crl_id FROM issuers i JOIN issuer_crls l ON l.issuer_id = i.id WHERE l.id = ?)
         AND serial_number = ?`,
    )
    .pluck()
  const dropRows = sqlite.prepare(
    `DELETE FROM issuer_revocations WHERE (crl_id, serial_number) IN
       (SELECT crl_id, serial_number FROM issuer_revocations WHERE crl_id = ? LIMIT ?)`,
  )
  const dropList = sqlite.prepare('DELETE FROM issuer_crls WHERE id = ?')
  const abandoned = sqlite
    .prepare<[number], number>(
      'SELECT id FROM issuer_crls WHERE imported_at <= ? AND id NOT IN (SELECT crl_id FROM issuers WHERE crl_id IS NOT NULL)',
    )
    .pluck()

  return {
    beginCrl: (issuerId, facts) =>
      transact(registry, async transaction => {
        await anchorIn(transaction, issuerId)
        const before = await inForceIn(transaction, issuerId)
        if (before?.hash === facts.hash) return null
        if (before !== null) assertNewer(facts, before)
        const { id } = await transaction
          .insertInto('issuer_crls')
          .values({
            issuer_id: issuerId,
            number: facts.number,
            this_update: facts.thisUpdate,
            next_update: facts.nextUpdate,
            scope: facts.scope,
            entries: 0,
            hash: facts.hash,
            imported_at: now(),
          })
          .returning('id')
          .executeTakeFirstOrThrow()
        begun = { crlId: id, inForce: before?.hash ?? null }
        return id
      }),

    writeRevocations: (crlId, revocations) =>
      transact(registry, async () => {
        let [entries, kept] = [0, 0]
        for (const { serialNumber, revokedAt, reason } of revocations) {
          if (insert.run(crlId, serialNumber, revokedAt, reason).changes === 0) continue
          entries += 1
          if (isInForce.get(crlId, serialNumber) === 1) kept += 1
        }
        return { entries, kept }
      }),

    putCrlInForce: (crlId, { entries, kept }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const list = await transaction
          .updateTable('issuer_crls')
          .set({ entries, imported_at: at })
          .where('id', '=', crlId)
          .returningAll()
          .executeTakeFirstOrThrow()
        const issuerId = list.issuer_id
        const before = await inForceIn(transaction, issuerId)
        // Another service that shares the registry may have put one in force meanwhile.
        if (before !== null) assertNewer(factsOf(list), before)
        const isCounted = begun?.crlId === crlId && begun.inForce === (before?.hash ?? null)
        await transaction.updateTable('issuers').set({ crl_id: crlId }).where('id', '=', issuerId).execute()
        const subordinates = await markSubordinates(transaction, issuerId, at)
        await appendAudit(transaction, {
          at,
          actor,
          action: 'issuer.crl',
          target: issuerId,
          detail: {
            number: list.number,
            hash: list.hash,
            entries,
            revoked: entries - kept,
            restored: (before?.entries ?? 0) - kept,
          },
        })
        const changed = !isCounted || entries !== kept || (before?.entries ?? 0) !== kept || subordinates
        return changed ? appendChange(transaction, { kind: 'issuer', at, issuerId }) : null
      }),

    dropCrls: limit =>
      transact(registry, async () => {
        let dropped = 0
        // Another service that shares the registry may be writing one.
        const before = registry.agreement === undefined ? Number.MAX_SAFE_INTEGER : now() - IMPORT_MS_MAX
        for (const crlId of abandoned.all(before)) {
          const rows = dropRows.run(crlId, limit - dropped).changes
          dropped += rows
          if (dropped >= limit) break
          dropList.run(crlId)
        }
        return dropped
      }),

    setCrlUrl: (issuerId, url, actor) =>
      transact(registry, async transaction => {
        await anchorIn(transaction, issuerId)
        await transaction
          .updateTable('trust_anchors')
          .set({ crl_url: url, crl_checked_at: null, crl_error: null })
          .where('issuer_id', '=', issuerId)
          .execute()
        const detail = { url }
        await appendAudit(transaction, {
          at: now(),
          actor,
          action: 'issuer.crl-source',
          target: issuerId,
          detail,
        })
      }),

    noteCrlCheck: (issuerId, error) =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('trust_anchors')
          .set({ crl_checked_at: now(), crl_error: error })
          .where('issuer_id', '=', issuerId)
          .execute()
      }),
  }
}

/** An older list would admit certificates again that the CA revoked since; a list about another part, those of the part before. */
function assertNewer(facts: CrlFacts, before: CrlInForce): void {
  const refuse = (why: string): never => {
    throw new Conflict('crl_outdated', why)
  }
  const time = (at: number) => new Date(at).toISOString()
  if (facts.thisUpdate < before.thisUpdate) {
    refuse(`it is of ${time(facts.thisUpdate)}, the one in force of ${time(before.thisUpdate)}`)
  }
  if (before.number !== null && BigInt(`0x${facts.number ?? '0'}`) < BigInt(`0x${before.number}`)) {
    refuse(`its number is ${facts.number ?? 'none'}, that of the one in force ${before.number}`)
  }
  if (facts.scope !== before.scope)
    refuse('it is about another part of the certificates than the one in force')
}

/** Where the CRLs of all trust anchors stand, or of one. */
export async function readIssuerCrlStatuses(
  { query }: Registry,
  issuerId?: string,
): Promise<IssuerCrlStatus[]> {
  const anchors = query
    .selectFrom('trust_anchors')
    .select(['issuer_id', 'crl_url', 'crl_checked_at', 'crl_error'])
    .orderBy('issuer_id')
  const rows = await (issuerId === undefined ? anchors : anchors.where('issuer_id', '=', issuerId)).execute()
  return Promise.all(
    rows.map(async row => ({
      issuerId: row.issuer_id,
      inForce: await inForceIn(query, row.issuer_id),
      url: row.crl_url,
      checkedAt: row.crl_checked_at,
      error: row.crl_error,
    })),
  )
}

async function inForceIn(
  query: Pick<Registry['query'], 'selectFrom'>,
  issuerId: string,
): Promise<CrlInForce | null> {
  const row = await query
    .selectFrom('issuer_crls')
    .innerJoin('issuers', 'issuers.crl_id', 'issuer_crls.id')
    .selectAll('issuer_crls')
    .where('issuers.id', '=', issuerId)
    .executeTakeFirst()
  return row === undefined ? null : factsOf(row)
}

function factsOf(row: Selectable<Schema['issuer_crls']>): CrlInForce {
  return {
    number: row.number,
    thisUpdate: row.this_update,
    nextUpdate: row.next_update,
    scope: row.scope,
    entries: row.entries,
    hash: row.hash,
    importedAt: row.imported_at,
  }
}
