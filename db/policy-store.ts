// Policy documents and what they are attached to. Stores them; `policy/` knows what they mean.
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from './audit.ts'
import { appendChange } from './change-feed.ts'
import type { Registry } from './open.ts'
import type { AttachmentKind, Schema } from './schema.ts'
import { Conflict, transact } from './transact.ts'

export type StoredPolicy = { name: string; document: string; updatedAt: number }

export type PolicyWriter = {
  /** Stores a document that `policy/` has accepted, replacing one of the same name. Gives the epoch. */
  putPolicy(name: string, document: unknown, actor: Actor): Promise<number>
  attachPolicy(name: string, kind: AttachmentKind, target: string, actor: Actor): Promise<number>
  /**
   * Puts and attaches the policies a fresh registry begins with, all or none. False, and nothing written, where a
   * policy was ever put before: what operators took away never comes back by itself.
   */
  foundPolicies(policies: readonly FoundingPolicy[], actor: Actor): Promise<boolean>
}

export type FoundingPolicy = {
  name: string
  document: unknown
  attachments: readonly { kind: AttachmentKind; target: string }[]
}

/** What a session needs to know about its device to bind policies. */
export type PolicySubject = {
  deviceId: string
  attributes: Record<string, string>
  policies: StoredPolicy[]
}

/** Prepares the look-up of all policies that hold for a device and the issuer of its certificate. */
export function preparePolicyLookup(
  registry: Registry,
): (deviceId: string, issuerId: string | null) => PolicySubject {
  const { sqlite } = registry
  const attributes = sqlite.prepare<[string], string>('SELECT attributes FROM devices WHERE id = ?').pluck()
  const groups = sqlite
    .prepare<[string], string>('SELECT name FROM device_groups WHERE device_id = ?')
    .pluck()
  const attached = sqlite
    .prepare<[string, string], string>(
      'SELECT policy_name FROM policy_attachments WHERE kind = ? AND target = ?',
    )
    .pluck()
  const policy = sqlite.prepare<[string], StoredPolicy>(
    'SELECT name, document, updated_at AS updatedAt FROM policies WHERE name = ?',
  )
  // Point look-ups one after the other: a quarter of what one statement over four kinds of target costs.
  return (deviceId, issuerId) => {
    const names = new Set(attached.all('everyone', ''))
    for (const name of attached.all('device', deviceId)) names.add(name)
    for (const group of groups.all(deviceId)) for (const name of attached.all('group', group)) names.add(name)
    if (issuerId !== null) for (const name of attached.all('issuer', issuerId)) names.add(name)
    return {
      deviceId,
      attributes: JSON.parse(attributes.get(deviceId) ?? '{}'),
      policies: [...names].map(name => policy.get(name)!),
    }
  }
}

export function countPolicies(registry: Registry): number {
  return registry.sqlite.prepare<[], number>('SELECT count(*) FROM policies').pluck().get() ?? 0
}

export function createPolicyWriter(registry: Registry, now: () => number): PolicyWriter {
  return {
    putPolicy: (name, document, actor) =>
      transact(registry, transaction => put(transaction, { name, document }, actor, now())),

    attachPolicy: (name, kind, target, actor) =>
      transact(registry, async transaction => {
        const known = await transaction
          .selectFrom('policies')
          .select('name')
          .where('name', '=', name)
          .executeTakeFirst()
        if (known === undefined) throw new Conflict('policy_unknown', `no policy ${name}`)
        return attach(transaction, { name, kind, target }, actor, now())
      }),

    foundPolicies: (policies, actor) =>
      transact(registry, async transaction => {
        // The first such row is among the oldest, so the search ends at once.
        const founded = await transaction
          .selectFrom('audit')
          .select('seq')
          .where('action', '=', 'policy.put')
          .orderBy('seq')
          .limit(1)
          .executeTakeFirst()
        if (founded !== undefined) return false
        for (const { name, document, attachments } of policies) {
          await put(transaction, { name, document }, actor, now())
          for (const attachment of attachments)
            await attach(transaction, { name, ...attachment }, actor, now())
        }
        return true
      }),
  }
}

async function put(
  transaction: Transaction<Schema>,
  { name, document }: { name: string; document: unknown },
  actor: Actor,
  at: number,
): Promise<number> {
  const row = { document: JSON.stringify(document), updated_at: at }
  await transaction
    .insertInto('policies')
    .values({ name, ...row })
    .onConflict(conflict => conflict.column('name').doUpdateSet(row))
    .execute()
  await appendAudit(transaction, { at, actor, action: 'policy.put', target: name })
  return appendChange(transaction, { kind: 'policy', at })
}

async function attach(
  transaction: Transaction<Schema>,
  { name, kind, target }: { name: string; kind: AttachmentKind; target: string },
  actor: Actor,
  at: number,
): Promise<number> {
  await transaction
    .insertInto('policy_attachments')
    .values({ policy_name: name, kind, target })
    .onConflict(conflict => conflict.doNothing())
    .execute()
  await appendAudit(transaction, {
    at,
    actor,
    action: 'policy.attach',
    target: name,
    detail: { kind, target },
  })
  return appendChange(transaction, { kind: 'policy', at })
}
