// Operators' certificates: pinned by fingerprint, never a device's. The caller checks what may be one; here it is written,
// found and ended. Their keys and those of devices never meet, whichever comes first.
import type { Transaction } from 'kysely'
import { certificateFacts } from '../../pki/certificate-facts.ts'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { assertNoClaimKey } from '../keys/key-owners.ts'
import { assertNotCompromised, assertNotRetired } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import type { Role, Schema } from '../schema.ts'
import { Conflict, transact, transactUrgently } from '../transact.ts'
import { assertNameFree } from './operator-names.ts'
import type { Holder } from './token-store.ts'
import { endWorkOf } from './work-of-operator.ts'

/** `expiresAt` in ms: never after the certificate's own end. */
type NewOperator = { name: string; role: Role; scope: string | null; der: Buffer; expiresAt: number }

export type OperatorStore = {
  /** Gives the fingerprint. @throws {Conflict} `operator_exists`, `operator_name_taken`, `public_key_taken` */
  addOperator(operator: NewOperator, actor: Actor): Promise<string>
  /** Revoking again changes nothing. `scope` narrows to operators of one group. @throws {Conflict} `operator_unknown` */
  revokeOperator(fingerprint: string, scope: string | null, actor: Actor): Promise<void>
  /** The operator with the certificate of this fingerprint, or null if there is none, or it has expired or is revoked. */
  operatorOf(fingerprint: string): Holder | null
  noteOperatorUse(fingerprint: string, at: number, address: string): Promise<void>
}

/** Operators that are neither revoked nor expired. */
const OPERATORS_MAX = 10_000

export function createOperatorStore(registry: Registry, now: () => number): OperatorStore {
  const byFingerprint = registry.sqlite.prepare<[string, number, number], Omit<Holder, 'kind'>>(
    `SELECT fingerprint AS id, name, role, scope_group AS scope, expires_at AS expiresAt, last_used_at AS lastUsedAt
     FROM operator_certificates
     WHERE fingerprint = ? AND revoked_at IS NULL AND not_before <= ? AND expires_at > ?`,
  )
  return {
    addOperator: (operator, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const facts = certificateFacts(operator.der)
        await assertNew(transaction, facts)
        await assertRoom(transaction, at)
        await assertNameFree(transaction, operator.name, at)
        const { name, role, scope, expiresAt } = operator
        const { fingerprint, subject, keyType, spkiHash, notBefore, notAfter } = facts
        await transaction
          .insertInto('operator_certificates')
          .values({
            ...{
              fingerprint,
              name,
              role,
              scope_group: scope,
              subject,
              key_type: keyType,
              spki_hash: spkiHash,
            },
            ...{ not_before: notBefore, not_after: notAfter, created_at: at, created_by: actor.name },
            ...{ expires_at: expiresAt, revoked_at: null, last_used_at: null, last_used_address: null },
          })
          .execute()
        const detail = { name, role, scope, expiresAt }
        await appendAudit(transaction, { at, actor, action: 'operator.add', target: fingerprint, detail })
        return fingerprint
      }),

    revokeOperator: (fingerprint, scope, actor) =>
      transactUrgently(registry, async transaction => {
        const at = now()
        let select = transaction
          .selectFrom('operator_certificates')
          .select(['name', 'revoked_at'])
          .where('fingerprint', '=', fingerprint)
        if (scope !== null) select = select.where('scope_group', '=', scope)
        const row = await select.executeTakeFirst()
        if (row === undefined)
          throw new Conflict('operator_unknown', `no operator has certificate ${fingerprint}`)
        if (row.revoked_at !== null) return
        await transaction
          .updateTable('operator_certificates')
          .set({ revoked_at: at })
          .where('fingerprint', '=', fingerprint)
          .execute()
        const ended = await endWorkOf(transaction, { name: row.name, kind: 'certificate' }, at, actor)
        const detail = { name: row.name, ...ended }
        await appendAudit(transaction, { at, actor, action: 'operator.revoke', target: fingerprint, detail })
      }),

    operatorOf(fingerprint) {
      const row = byFingerprint.get(fingerprint, now(), now())
      return row === undefined ? null : { kind: 'certificate', ...row }
    },

    noteOperatorUse: (fingerprint, at, address) =>
      transact(registry, async transaction => {
        await transaction
          .updateTable('operator_certificates')
          .set({ last_used_at: at, last_used_address: address })
          .where('fingerprint', '=', fingerprint)
          .execute()
      }),
  }
}

/** A key of a device stays a device's; one that an operator ever had is not registered again. */
async function assertNew(
  transaction: Transaction<Schema>,
  { fingerprint, spkiHash }: { fingerprint: string; spkiHash: string },
): Promise<void> {
  const twin = await transaction
    .selectFrom('operator_certificates')
    .select(['fingerprint', 'name'])
    .where('spki_hash', '=', spkiHash)
    .executeTakeFirst()
  if (twin !== undefined) {
    const what = twin.fingerprint === fingerprint ? 'this certificate' : 'a certificate of this key'
    throw new Conflict('operator_exists', `${what} is or was registered for operator ${twin.name}`)
  }
  await assertNoClaimKey(transaction, spkiHash)
  await assertNotCompromised(transaction, spkiHash)
  await assertNotRetired(transaction, spkiHash)
  const device = await transaction
    .selectFrom('public_keys')
    .select('device_id')
    .where('spki_hash', '=', spkiHash)
    .executeTakeFirst()
  if (device === undefined) return
  throw new Conflict('public_key_taken', 'this public key belongs to a device: generate a new key pair')
}

async function assertRoom(transaction: Transaction<Schema>, at: number): Promise<void> {
  const { live } = await transaction
    .selectFrom('operator_certificates')
    .select(({ fn }) => fn.countAll<number>().as('live'))
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirstOrThrow()
  if (live >= OPERATORS_MAX)
    throw new Conflict('operators_exceeded', `${live} operators are accepted already`)
}
