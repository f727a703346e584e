// Entity tags of devices, certificates and issuers: a change that names the tag of an older version writes nothing.
// A tag is a hash of every field that a transition may change, and opaque to callers.
import { hash } from 'node:crypto'
import type { Transaction } from 'kysely'
import type { Actor } from './audit/audit.ts'
import type { CertificateStatus, DeviceState, Schema } from './schema.ts'
import { Conflict, type ConflictCode } from './transact.ts'

export function deviceEntityTag({
  state,
  attributes,
  groups,
  updatedAt,
}: {
  state: DeviceState
  attributes: Record<string, string>
  groups: readonly string[]
  updatedAt: number
}): string {
  return versionOf([state, attributes, groups, updatedAt])
}

export function certificateEntityTag(certificate: {
  status: CertificateStatus
  revocationReason: string | null
  graceUntil: number | null
  firstUsedAt: number | null
  revokedAt: number | null
}): string {
  const { status, revocationReason, graceUntil, firstUsedAt, revokedAt } = certificate
  return versionOf([status, revocationReason, graceUntil, firstUsedAt, revokedAt])
}

export function issuerEntityTag({ enabled }: { enabled: boolean }): string {
  return versionOf([enabled])
}

/** Throws `device_changed` where the actor saw another version than there is. */
export async function assertDeviceSeen(
  transaction: Transaction<Schema>,
  actor: Actor,
  id: string,
): Promise<void> {
  if (actor.seen === undefined) return
  const row = await transaction.selectFrom('devices').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return
  const groups = await transaction
    .selectFrom('device_groups')
    .select('name')
    .where('device_id', '=', id)
    .orderBy('name')
    .execute()
  const version = deviceEntityTag({
    state: row.state,
    attributes: JSON.parse(row.attributes),
    groups: groups.map(group => group.name),
    updatedAt: row.updated_at,
  })
  assertSeen(actor, version, 'device_changed', `device ${id}`)
}

/** Throws `certificate_changed` likewise. */
export async function assertCertificateSeen(
  transaction: Transaction<Schema>,
  actor: Actor,
  fingerprint: string,
): Promise<void> {
  if (actor.seen === undefined) return
  const row = await transaction
    .selectFrom('certificates')
    .select([
      'status',
      'revocation_reason as revocationReason',
      'grace_until as graceUntil',
      'first_used_at as firstUsedAt',
      'revoked_at as revokedAt',
    ])
    .where('fingerprint', '=', fingerprint)
    .executeTakeFirst()
  if (row !== undefined)
    assertSeen(actor, certificateEntityTag(row), 'certificate_changed', 'the certificate')
}

/** Throws `issuer_changed` likewise. */
export async function assertIssuerSeen(
  transaction: Transaction<Schema>,
  actor: Actor,
  id: string,
): Promise<void> {
  if (actor.seen === undefined) return
  const row = await transaction
    .selectFrom('issuers')
    .select('enabled')
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) return
  assertSeen(actor, issuerEntityTag({ enabled: row.enabled === 1 }), 'issuer_changed', `issuer ${id}`)
}

function assertSeen({ seen }: Actor, version: string, code: ConflictCode, what: string): void {
  if (seen !== version) throw new Conflict(code, `${what} is of version ${version}, not ${seen}`)
}

function versionOf(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'hex').slice(0, 32)
}
