// The issuers whose certificates the registry knows: root, issuing CA, and foreign trust anchors.
import { X509Certificate } from 'node:crypto'
import type { Selectable, Transaction } from 'kysely'
import { certificateFacts, fingerprintOf } from '../../pki/certificate-facts.ts'
import type { KnownIssuer } from '../../pki/chain.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import { assertIssuerSeen } from '../entity-tags.ts'
import { assertNotCompromised, isCompromised } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import type { RegistrationMode, Schema } from '../schema.ts'
import { insert, rowsOf } from '../statement.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'

export type Issuer = KnownIssuer & {
  name: string
  /** Certificates of the same name and key that the one in force took the place of, the last one first. */
  replaced: readonly X509Certificate[]
  kind: Schema['issuers']['kind']
  enabled: boolean
  /** Whether the CRL of the CA above lists it. */
  revoked: boolean
  /** What it lets a device do that arrives unlisted; our own CAs nothing. */
  registration: RegistrationMode
  /** The issuing distribution point of its CRL in force, DER in hex; '' where it has none or there is no CRL. */
  crlScope: string
  /** Whether certificates of X.509 version 1 that it signed may go on the roll. */
  acceptV1: boolean
}
export type NewIssuer = {
  der: Buffer
  name: string
  kind: Schema['issuers']['kind']
  parentId: string | null
}

/** More stand above nobody; a line in a circle ends here too. */
const LINE_MAX = 8

type IssuerWriter = {
  /** Registers an issuer under its fingerprint and gives it; one that is known already stays as it is. */
  addIssuer(issuer: NewIssuer, actor: Actor): Promise<string>
  /** Gives the epoch of the change. */
  setIssuerEnabled(id: string, enabled: boolean, actor: Actor): Promise<number>
}

/**
 * All issuers, disabled ones included, by id. Synchronous: gates and explanations read it where they decide. Certificates
 * that were read before are not parsed again.
 */
export function readIssuers(registry: Registry, before?: ReadonlyMap<string, Issuer>): Map<string, Issuer> {
  const rows = registry.sqlite
    .prepare<
      [],
      Selectable<Schema['issuers']> & {
        registration: RegistrationMode | null
        scope: string | null
        accept_v1: number | null
      }
    >(
      `SELECT i.*, a.registration, a.accept_v1, l.scope FROM issuers i LEFT JOIN trust_anchors a ON a.issuer_id = i.id
       LEFT JOIN issuer_crls l ON l.id = i.crl_id ORDER BY i.id`,
    )
    .all()
  const replaced = readReplaced(registry, before)
  return new Map(
    rows.map(row => [
      row.id,
      {
        id: row.id,
        name: row.name,
        kind: row.kind,
        parentId: row.parent_id,
        enabled: row.enabled === 1,
        revoked: row.revoked === 1,
        registration: row.registration ?? 'off',
        crlScope: row.scope ?? '',
        acceptV1: row.accept_v1 === 1,
        certificate: certificateOf(row.der, before?.get(row.id)),
        replaced: replaced.get(row.id) ?? [],
        notBefore: row.not_before,
        notAfter: row.not_after,
      },
    ]),
  )
}

function certificateOf(der: Buffer, before: Issuer | undefined): X509Certificate {
  return before?.certificate.raw.equals(der) ? before.certificate : new X509Certificate(der)
}

function readReplaced(registry: Registry, before?: ReadonlyMap<string, Issuer>) {
  const replaced = new Map<string, X509Certificate[]>()
  const rows = registry.sqlite
    .prepare<[], { id: string; der: Buffer }>(
      'SELECT issuer_id AS id, der FROM replaced_issuer_certificates ORDER BY replaced_at DESC',
    )
    .all()
  for (const { id, der } of rows) {
    const known = before?.get(id)?.replaced.find(({ raw }) => raw.equals(der))
    replaced.set(id, [...(replaced.get(id) ?? []), known ?? new X509Certificate(der)])
  }
  return replaced
}

/** An issuer by the fingerprint of any of its certificates; its ID is that of the first. */
export function issuerNamed(fingerprint: string, issuers: ReadonlyMap<string, Issuer>): Issuer | undefined {
  const carries = ({ raw }: X509Certificate) => fingerprintOf(raw) === fingerprint
  return (
    issuers.get(fingerprint) ??
    [...issuers.values()].find(({ certificate, replaced }) => carries(certificate) || replaced.some(carries))
  )
}

/** An issuer and those above it, lowest first; none where it is not on record. */
export function issuerLine<Link extends { parentId: string | null }>(
  id: string | null,
  issuers: ReadonlyMap<string, Link>,
): Link[] {
  const line: Link[] = []
  for (
    let link = issuers.get(id ?? '');
    link && line.length < LINE_MAX;
    link = issuers.get(link.parentId ?? '')
  )
    line.push(link)
  return line
}

/** The same for repeated calls: issuers are read anew only if another connection has written since. */
export function prepareIssuers(registry: Registry): () => Map<string, Issuer> {
  const version = registry.sqlite.prepare<[], number>('PRAGMA data_version').pluck()
  let readAt: number | undefined
  let issuers = new Map<string, Issuer>()
  return () => {
    const now = version.get()
    if (now !== readAt) {
      issuers = readIssuers(registry, issuers)
      readAt = now
    }
    return issuers
  }
}

export function createIssuerWriter(registry: Registry, now: () => number): IssuerWriter {
  return {
    addIssuer: (issuer, actor) =>
      transact(registry, async transaction => (await insertIssuer(transaction, issuer, actor, now())).id),

    setIssuerEnabled: (id, enabled, actor) =>
      (enabled ? transact : transactUrgently)(registry, async transaction => {
        const at = now()
        await assertIssuerSeen(transaction, actor, id)
        const changed = await transaction
          .updateTable('issuers')
          .set({ enabled: enabled ? 1 : 0 })
          .where('id', '=', id)
          .executeTakeFirst()
        if (changed.numUpdatedRows === 0n)
          throw new Conflict('issuer_unknown', `no issuer ${id} is registered`)
        await appendAudit(transaction, {
          at,
          actor,
          action: enabled ? 'issuer.enable' : 'issuer.disable',
          target: id,
        })
        return appendChange(transaction, { kind: 'issuer', at, issuerId: id })
      }),
  }
}

/** Registers an issuer as part of a larger change. The epoch is null where it was registered before. */
export async function insertIssuer(
  transaction: Transaction<Schema>,
  { der, name, kind, parentId }: NewIssuer,
  actor: Actor,
  at: number,
): Promise<{ id: string; epoch: number | null }> {
  const { fingerprint: id, notBefore, notAfter, spkiHash } = certificateFacts(der)
  await assertNotCompromised(transaction, spkiHash)
  const added = await transaction
    .insertInto('issuers')
    .values({
      id,
      name,
      parent_id: parentId,
      kind,
      der,
      enabled: 1,
      not_before: notBefore,
      not_after: notAfter,
      created_at: at,
    })
    .onConflict(conflict => conflict.doNothing())
    .executeTakeFirst()
  if (added.numInsertedOrUpdatedRows === 0n) return { id, epoch: null }
  if (kind === 'foreign') await transaction.insertInto('trust_anchors').values({ issuer_id: id }).execute()
  await appendAudit(transaction, { at, actor, action: 'issuer.add', target: id, detail: { name, kind } })
  return { id, epoch: await appendChange(transaction, { kind: 'issuer', at, issuerId: id }) }
}

/**
 * A CA below this one that the list names admits nobody; one whose key it calls compromised never again, under no other
 * certificate of that key. Gives whether that changed for any.
 */
export async function markSubordinates(
  transaction: Transaction<Schema>,
  issuerId: string,
  at: number,
): Promise<boolean> {
  const issuers = transaction.selectFrom('issuers').select(['id', 'der', 'revoked'])
  const declared = new Set<string>()
  let changed = false
  const mark = async (id: string, before: number, now: boolean) => {
    if (before === Number(now)) return
    changed = true
    await transaction
      .updateTable('issuers')
      .set({ revoked: Number(now) })
      .where('id', '=', id)
      .execute()
  }
  for (const { id, der, revoked } of await issuers.where('parent_id', '=', issuerId).execute()) {
    const { serialNumber, spkiHash } = certificateFacts(der)
    const reason = await reasonListed(transaction, issuerId, serialNumber)
    if (reason !== null && COMPROMISE.has(reason)) {
      const key = { spki_hash: spkiHash, declared_by: id, compromised_at: at }
      if (await insert(transaction, 'compromised_keys', key, '(spki_hash) DO NOTHING')) declared.add(spkiHash)
    }
    await mark(id, revoked, reason !== null || (await isCompromised(transaction, spkiHash)))
  }
  if (declared.size === 0) return changed
  for (const { id, der, revoked } of await issuers.where('kind', '=', 'foreign').execute())
    if (declared.has(certificateFacts(der).spkiHash)) await mark(id, revoked, true)
  return changed
}

/** Of a CA's certificate: its key is not its own any more (RFC 5280 §5.3.1). */
const COMPROMISE: ReadonlySet<string> = new Set(['keyCompromise', 'cACompromise'])

/** Whether the CRL in force of an issuer lists a serial number. */
export async function isRevokedBy(
  transaction: Transaction<Schema>,
  issuerId: string,
  serialNumber: string,
): Promise<boolean> {
  return (await reasonListed(transaction, issuerId, serialNumber)) !== null
}

/** For which reason the CRL in force of an issuer lists a serial number; null where it does not. */
export async function reasonListed(
  transaction: Transaction<Schema>,
  issuerId: string,
  serialNumber: string,
): Promise<string | null> {
  const [listed] = await rowsOf<{ reason: string }>(transaction, reasonSql, issuerId, serialNumber)
  return listed?.reason ?? null
}

const reasonSql = `SELECT reason FROM issuer_revocations
  WHERE crl_id = (SELECT crl_id FROM issuers WHERE id = ?) AND serial_number = ?`
