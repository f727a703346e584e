// Foreign CAs as trust anchors: registered, proven to be in the hands of the operator that registered them, and set to let devices
// register themselves or not. The caller checks what may become one; the table itself wants proof before it lets anybody.
import type { Selectable, Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import type { RegistrationMode, Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'
import { insertIssuer, markSubordinates, type NewIssuer } from './issuer-store.ts'

/** How devices may register themselves under an anchor. */
export type AutoRegistration = {
  mode: RegistrationMode
  nameTemplate: string
  perMinuteMax: number
  devicesMax: number
}

/** Times in ms since the epoch. */
export type TrustAnchor = {
  issuerId: string
  challenge: { nonce: string; expiresAt: number } | null
  provenAt: number | null
  proofFingerprint: string | null
  autoRegistration: AutoRegistration
  /** Devices that registered themselves so far. */
  devicesRegistered: number
}

type TrustAnchorWriter = {
  /** Gives the epoch of the change. Throws `issuer_exists`. */
  addTrustAnchor(anchor: Omit<NewIssuer, 'kind'>, actor: Actor): Promise<{ id: string; epoch: number }>
  /** One challenge at a time: a newer one ends the one before. */
  openChallenge(
    issuerId: string,
    challenge: { nonce: string; expiresAt: number },
    actor: Actor,
  ): Promise<void>
  /** The nonce is used up. Throws `challenge_missing` where it is not the one that is open, or its time is over. */
  recordProof(issuerId: string, proof: { nonce: string; fingerprint: string }, actor: Actor): Promise<void>
  /** Says whether certificates of X.509 version 1 may go on the roll; those that are there stay. */
  setAcceptV1(issuerId: string, acceptV1: boolean, actor: Actor): Promise<void>
  /** Gives the epoch of the change. Throws `possession_unproven` where nobody proved to hold the key. */
  setAutoRegistration(issuerId: string, settings: AutoRegistration, actor: Actor): Promise<number>
}

export function createTrustAnchorWriter(registry: Registry, now: () => number): TrustAnchorWriter {
  return {
    addTrustAnchor: (anchor, actor) =>
      transact(registry, async transaction => {
        const { id, epoch } = await insertIssuer(transaction, { ...anchor, kind: 'foreign' }, actor, now())
        if (epoch === null) throw new Conflict('issuer_exists', `the issuer ${id} is registered already`)
        if (anchor.parentId !== null) await markSubordinates(transaction, anchor.parentId, now())
        return { id, epoch }
      }),

    openChallenge: (issuerId, { nonce, expiresAt }, actor) =>
      transact(registry, async transaction => {
        await anchorIn(transaction, issuerId)
        await change(transaction, issuerId, { nonce, nonce_expires_at: expiresAt })
        await appendAudit(transaction, { at: now(), actor, action: 'issuer.challenge', target: issuerId })
      }),

    recordProof: (issuerId, { nonce, fingerprint }, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const row = await anchorIn(transaction, issuerId)
        if (row.nonce !== nonce || row.nonce_expires_at === null || row.nonce_expires_at <= at) {
          throw new Conflict('challenge_missing', 'the challenge is not open any more: ask for a new one')
        }
        const proven = { proven_at: at, proof_fingerprint: fingerprint }
        await change(transaction, issuerId, { nonce: null, nonce_expires_at: null, ...proven })
        const detail = { verificationCertificate: fingerprint }
        await appendAudit(transaction, { at, actor, action: 'issuer.prove', target: issuerId, detail })
      }),

    setAcceptV1: (issuerId, acceptV1, actor) =>
      transact(registry, async transaction => {
        await anchorIn(transaction, issuerId)
        await change(transaction, issuerId, { accept_v1: acceptV1 ? 1 : 0 })
        const row = { at: now(), actor, action: 'issuer.profile', target: issuerId, detail: { acceptV1 } }
        await appendAudit(transaction, row)
      }),

    setAutoRegistration: (issuerId, settings, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const row = await anchorIn(transaction, issuerId)
        if (settings.mode !== 'off' && row.proven_at === null) {
          throw new Conflict(
            'possession_unproven',
            'nobody has proved to hold the key of this CA: take a challenge and have the CA sign it',
          )
        }
        await change(transaction, issuerId, {
          registration: settings.mode,
          name_template: settings.nameTemplate,
          per_minute_max: settings.perMinuteMax,
          devices_max: settings.devicesMax,
        })
        // What was refused under other settings is decided anew.
        await transaction.deleteFrom('arrivals').where('issuer_id', '=', issuerId).execute()
        await appendAudit(transaction, {
          at,
          actor,
          action: 'issuer.registration',
          target: issuerId,
          detail: { ...settings },
        })
        return appendChange(transaction, { kind: 'issuer', at, issuerId })
      }),
  }
}

/** The anchor as it is now, or null where no such CA of somebody else is registered. */
export async function readTrustAnchor({ query }: Registry, issuerId: string): Promise<TrustAnchor | null> {
  const row = await query
    .selectFrom('trust_anchors')
    .selectAll()
    .where('issuer_id', '=', issuerId)
    .executeTakeFirst()
  if (row === undefined) return null
  const { registered } = await query
    .selectFrom('auto_registrations')
    .select(({ fn }) => fn.countAll<number>().as('registered'))
    .where('issuer_id', '=', issuerId)
    .executeTakeFirstOrThrow()
  return {
    issuerId,
    challenge: row.nonce === null ? null : { nonce: row.nonce, expiresAt: row.nonce_expires_at ?? 0 },
    provenAt: row.proven_at,
    proofFingerprint: row.proof_fingerprint,
    autoRegistration: autoRegistrationOf(row),
    devicesRegistered: registered,
  }
}

type AnchorRow = Selectable<Schema['trust_anchors']>

function autoRegistrationOf(row: AnchorRow): AutoRegistration {
  return {
    mode: row.registration,
    nameTemplate: row.name_template,
    perMinuteMax: row.per_minute_max,
    devicesMax: row.devices_max,
  }
}

/** The row of an anchor inside a transaction. Throws `issuer_unknown`, `issuer_own`. */
export async function anchorIn(transaction: Transaction<Schema>, issuerId: string): Promise<AnchorRow> {
  const row = await transaction
    .selectFrom('trust_anchors')
    .selectAll()
    .where('issuer_id', '=', issuerId)
    .executeTakeFirst()
  if (row !== undefined) return row
  const own = await transaction
    .selectFrom('issuers')
    .select('id')
    .where('id', '=', issuerId)
    .executeTakeFirst()
  if (own === undefined) throw new Conflict('issuer_unknown', `no issuer ${issuerId} is registered`)
  throw new Conflict('issuer_own', 'this is a CA of this service: only CAs of others are trust anchors')
}

async function change(
  transaction: Transaction<Schema>,
  issuerId: string,
  fields: Partial<AnchorRow>,
): Promise<void> {
  await transaction.updateTable('trust_anchors').set(fields).where('issuer_id', '=', issuerId).execute()
}
