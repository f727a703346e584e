// The issuers whose certificates the registry knows: root, issuing CA, and foreign trust anchors.
import { X509Certificate } from 'node:crypto'
import { certificateFacts } from '../pki/certificate-facts.ts'
import type { KnownIssuer } from '../pki/chain.ts'
import { type Actor, appendAudit } from './audit.ts'
import { appendChange } from './change-feed.ts'
import type { Registry } from './open.ts'
import type { Schema } from './schema.ts'
import { Conflict, transact } from './transact.ts'

export type Issuer = KnownIssuer & { name: string; kind: Schema['issuers']['kind']; enabled: boolean }
export type NewIssuer = {
  der: Buffer
  name: string
  kind: Schema['issuers']['kind']
  parentId: string | null
}

export type IssuerWriter = {
  /** Registers an issuer under its fingerprint and gives it; one that is known already stays as it is. */
  addIssuer(issuer: NewIssuer, actor: Actor): Promise<string>
  /** Gives the epoch of the change. */
  setIssuerEnabled(id: string, enabled: boolean, actor: Actor): Promise<number>
}

/** All issuers, disabled ones included, by id. Synchronous: gates and explanations read it where they decide. */
export function readIssuers(registry: Registry): Map<string, Issuer> {
  const rows = registry.sqlite.prepare<[], Schema['issuers']>('SELECT * FROM issuers ORDER BY id').all()
  return new Map(
    rows.map(row => [
      row.id,
      {
        id: row.id,
        name: row.name,
        kind: row.kind,
        parentId: row.parent_id,
        enabled: row.enabled === 1,
        certificate: new X509Certificate(row.der),
        notBefore: row.not_before,
        notAfter: row.not_after,
      },
    ]),
  )
}

export function createIssuerWriter(registry: Registry, now: () => number): IssuerWriter {
  return {
    addIssuer: (issuer, actor) =>
      transact(registry, async transaction => {
        const facts = certificateFacts(issuer.der)
        const at = now()
        const added = await transaction
          .insertInto('issuers')
          .values({
            id: facts.fingerprint,
            name: issuer.name,
            parent_id: issuer.parentId,
            kind: issuer.kind,
            der: issuer.der,
            enabled: 1,
            not_before: facts.notBefore,
            not_after: facts.notAfter,
            created_at: at,
          })
          .onConflict(conflict => conflict.doNothing())
          .executeTakeFirst()
        if (added.numInsertedOrUpdatedRows !== 0n) {
          const detail = { name: issuer.name, kind: issuer.kind }
          await appendAudit(transaction, {
            at,
            actor,
            action: 'issuer.add',
            target: facts.fingerprint,
            detail,
          })
          await appendChange(transaction, { kind: 'issuer', at, issuerId: facts.fingerprint })
        }
        return facts.fingerprint
      }),

    setIssuerEnabled: (id, enabled, actor) =>
      transact(registry, async transaction => {
        const at = now()
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
