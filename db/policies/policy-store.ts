// Policy documents and what they are attached to. Stores them; `policy/` knows what they mean.
import { createHash } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { appendChange } from '../change-feed.ts'
import type { Registry } from '../open.ts'
import { stateOf } from '../roll/device-writer.ts'
import type { AttachmentKind, Schema } from '../schema.ts'
import { Conflict, transact } from '../transact.ts'

export type StoredPolicy = { name: string; document: string; updatedAt: number }

export type Attachment = { kind: AttachmentKind; target: string }

type PolicyWriter = {
  /**
   * Stores a document that `policy/` has accepted, replacing one of the same name. Gives the epoch; the same text again
   * changes nothing and gives the latest epoch.
   * @throws {Conflict} `policy_changed` where `expected` is given and the stored version is another (null: none stored)
   */
  putPolicy(name: string, document: unknown, actor: Actor, expected?: string | null): Promise<number>
  /** @throws {Conflict} `policy_attached` while anything holds it, `policy_changed` as `putPolicy` */
  deletePolicy(name: string, actor: Actor, expected?: string): Promise<number>
  /** What is attached already stays as it is. `everyone` has the target ''. */
  attachPolicy(name: string, kind: AttachmentKind, target: string, actor: Actor): Promise<number>
  /** @throws {Conflict} `attachment_unknown` */
  detachPolicy(name: string, kind: AttachmentKind, target: string, actor: Actor): Promise<number>
  /**
   * Puts and attaches the policies a fresh registry begins with, all or none. False, and nothing written, where a
   * policy was ever put before: what operators took away never comes back by itself.
   */
  foundPolicies(policies: readonly FoundingPolicy[], actor: Actor): Promise<boolean>
}

export type FoundingPolicy = {
  name: string
  document: unknown
  attachments: readonly Attachment[]
}

/** Of a stored document: the same text has the same version. */
export function versionOf(document: string): string {
  return createHash('sha256').update(document).digest('hex').slice(0, 32)
}

/** What a session needs to know about its device to bind policies. */
export type PolicySubject = {
  deviceId: string
  /** The certificate it was looked up with; whether a TPM proved its key. */
  serialNumber: string
  attested: boolean
  attributes: Record<string, string>
  /** The same list for all that hold the same ones, for as long as none has changed. */
  policies: readonly StoredPolicy[]
}

export function createPolicyWriter(registry: Registry, now: () => number): PolicyWriter {
  return {
    putPolicy: (name, document, actor, expected) =>
      transact(registry, async transaction => {
        const stored = await versionOfStored(transaction, name)
        assertExpected(name, stored, expected)
        if (stored === versionOf(JSON.stringify(document))) return latestEpoch(transaction)
        return put(transaction, { name, document }, actor, now())
      }),

    deletePolicy: (name, actor, expected) =>
      transact(registry, async transaction => {
        const at = now()
        const stored = await versionOfStored(transaction, name)
        if (stored === null) throw unknownPolicy(name)
        assertExpected(name, stored, expected)
        const holder = await transaction
          .selectFrom('policy_attachments')
          .select(['kind', 'target'])
          .where('policy_name', '=', name)
          .executeTakeFirst()
        if (holder !== undefined) {
          throw new Conflict(
            'policy_attached',
            `policy ${name} is attached to ${`${holder.kind} ${holder.target}`.trim()}: detach it first`,
          )
        }
        await transaction.deleteFrom('policies').where('name', '=', name).execute()
        const detail = { version: stored }
        await appendAudit(transaction, { at, actor, action: 'policy.delete', target: name, detail })
        return appendChange(transaction, { kind: 'policy', at })
      }),

    attachPolicy: (name, kind, target, actor) =>
      transact(registry, async transaction => {
        if ((await versionOfStored(transaction, name)) === null) throw unknownPolicy(name)
        await assertTarget(transaction, kind, target)
        if (await isAttached(transaction, name, { kind, target })) return latestEpoch(transaction)
        return attach(transaction, { name, kind, target }, actor, now())
      }),

    detachPolicy: (name, kind, target, actor) =>
      transact(registry, async transaction => {
        const at = now()
        if ((await versionOfStored(transaction, name)) === null) throw unknownPolicy(name)
        if (!(await isAttached(transaction, name, { kind, target }))) {
          throw new Conflict(
            'attachment_unknown',
            `policy ${name} is not attached to ${`${kind} ${target}`.trim()}`,
          )
        }
        await transaction
          .deleteFrom('policy_attachments')
          .where('policy_name', '=', name)
          .where('kind', '=', kind)
          .where('target', '=', target)
          .execute()
        await appendAudit(transaction, {
          at,
          actor,
          action: 'policy.detach',
          target: name,
          detail: { kind, target },
        })
        return appendChange(transaction, changeOf(kind, target, at))
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
  return appendChange(transaction, changeOf(kind, target, at))
}

/** One device alone must look again where the policy is its own; otherwise everybody. */
function changeOf(kind: AttachmentKind, target: string, at: number) {
  return { kind: 'policy' as const, at, ...(kind === 'device' ? { deviceId: target } : {}) }
}

async function versionOfStored(transaction: Transaction<Schema>, name: string): Promise<string | null> {
  const row = await transaction
    .selectFrom('policies')
    .select('document')
    .where('name', '=', name)
    .executeTakeFirst()
  return row === undefined ? null : versionOf(row.document)
}

function assertExpected(name: string, stored: string | null, expected: string | null | undefined): void {
  if (expected === undefined || expected === stored) return
  throw new Conflict(
    'policy_changed',
    stored === null
      ? `there is no policy ${name}`
      : `policy ${name} is of version ${stored}, not ${expected ?? 'new'}`,
  )
}

/** A policy for a device or issuer that is not there would be a typing error nobody notices; groups need no founding. */
async function assertTarget(
  transaction: Transaction<Schema>,
  kind: AttachmentKind,
  target: string,
): Promise<void> {
  if (kind === 'device') await stateOf(transaction, target)
  if (kind !== 'issuer') return
  const issuer = await transaction
    .selectFrom('issuers')
    .select('id')
    .where('id', '=', target)
    .executeTakeFirst()
  if (issuer === undefined) throw new Conflict('issuer_unknown', `no issuer ${target} is registered`)
}

async function isAttached(
  transaction: Transaction<Schema>,
  name: string,
  { kind, target }: Attachment,
): Promise<boolean> {
  const row = await transaction
    .selectFrom('policy_attachments')
    .select('kind')
    .where('policy_name', '=', name)
    .where('kind', '=', kind)
    .where('target', '=', target)
    .executeTakeFirst()
  return row !== undefined
}

async function latestEpoch(transaction: Transaction<Schema>): Promise<number> {
  const row = await transaction
    .selectFrom('changes')
    .select(({ fn }) => fn.max('epoch').as('epoch'))
    .executeTakeFirst()
  return row?.epoch ?? 0
}

function unknownPolicy(name: string): Conflict {
  return new Conflict('policy_unknown', `no policy ${name}`)
}
