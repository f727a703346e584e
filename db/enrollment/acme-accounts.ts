// ACME accounts (RFC 8555 §7.1.2): the public key of a client, the token or claim that bound it, and the certificate that it obtained last, which is
// the one it may renew. Bounded: a token binds one account, a claim as many as it may enroll.
import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { type Actor, appendAudit } from '../audit/audit.ts'
import { assertNoClaimKey, assertNoOperatorKey } from '../keys/key-owners.ts'
import { assertNotCompromised, assertNotRetired } from '../keys/public-keys.ts'
import type { Registry } from '../open.ts'
import type { Schema } from '../schema.ts'
import { insert, rowsOf, run } from '../statement.ts'
import { Conflict, transact } from '../transact.ts'

/** Times in ms since the epoch; `spki` is the DER of its SubjectPublicKeyInfo, `spkiHash` the SHA-256 of that in hex. */
export type AcmeAccount = {
  id: string
  spki: Buffer
  spkiHash: string
  tokenId: string | null
  claimId: string | null
  /** The certificate that it obtained last; null before the first. */
  fingerprint: string | null
  createdAt: number
  deactivatedAt: number | null
}
type AccountKey = Pick<AcmeAccount, 'spki' | 'spkiHash'>
/** What an account is bound to; `accountsMax` is the quota of the claim. */
export type AccountBinding = { token: string } | { claim: string; accountsMax: number }

export type AcmeAccountStore = {
  /**
   * Makes an account for a new key; gives its ID.
   * @throws {Conflict} `enrollment_token_used` where the token has bound another, `claim_exceeded`, `public_key_taken`, `public_key_compromised`
   */
  createAcmeAccount(key: AccountKey, binding: AccountBinding, actor: Actor): Promise<string>
  /** Synchronous: asked on every request. */
  acmeAccount(id: string): AcmeAccount | null
  acmeAccountOfKey(spkiHash: string): AcmeAccount | null
  /** @throws {Conflict} `public_key_taken`, `public_key_compromised` */
  changeAcmeAccountKey(id: string, key: AccountKey, actor: Actor): Promise<void>
  /** From then on it opens nothing; its certificate stays. Again changes nothing. */
  deactivateAcmeAccount(id: string, actor: Actor): Promise<void>
  /** Notes which certificate it obtained: that one is on record by itself, so no row tells of it. */
  noteAcmeCertificate(id: string, fingerprint: string): Promise<void>
}

const columns = `id, spki, spki_hash AS spkiHash, token_id AS tokenId, claim_id AS claimId, fingerprint, created_at AS createdAt,
  deactivated_at AS deactivatedAt`

export function createAcmeAccountStore(registry: Registry, now: () => number): AcmeAccountStore {
  const lookup = (column: 'id' | 'spki_hash') =>
    registry.sqlite.prepare<[string], AcmeAccount>(`SELECT ${columns} FROM acme_accounts WHERE ${column} = ?`)
  const byId = lookup('id')
  const byKey = lookup('spki_hash')
  return {
    createAcmeAccount: (key, binding, actor) =>
      transact(registry, async transaction => {
        const at = now()
        await assertKeyIsFree(transaction, key.spkiHash)
        if ('token' in binding) await assertFirstOfToken(transaction, binding.token)
        else await assertWithinClaim(transaction, binding)
        const id = randomUUID()
        const bound =
          'token' in binding
            ? { token_id: binding.token, claim_id: null }
            : { token_id: null, claim_id: binding.claim }
        await insert(transaction, 'acme_accounts', {
          ...{ id, spki: key.spki, spki_hash: key.spkiHash, ...bound },
          ...{ fingerprint: null, created_at: at, deactivated_at: null },
        })
        const detail = {
          spkiHash: key.spkiHash,
          ...('token' in binding ? { token: binding.token } : { claim: binding.claim }),
        }
        await appendAudit(transaction, { at, actor, action: 'acme-account.create', target: id, detail })
        return id
      }),

    acmeAccount: id => byId.get(id) ?? null,
    acmeAccountOfKey: spkiHash => byKey.get(spkiHash) ?? null,

    changeAcmeAccountKey: (id, { spki, spkiHash }, actor) =>
      transact(registry, async transaction => {
        await assertKeyIsFree(transaction, spkiHash)
        const sql = 'UPDATE acme_accounts SET spki = ?, spki_hash = ? WHERE id = ? AND deactivated_at IS NULL'
        if ((await run(transaction, sql, spki, spkiHash, id)) === 0)
          throw new Error('the account whose key changes is gone')
        const detail = { spkiHash }
        await appendAudit(transaction, {
          ...{ at: now(), actor, action: 'acme-account.key', target: id, detail },
        })
      }),

    deactivateAcmeAccount: (id, actor) =>
      transact(registry, async transaction => {
        const at = now()
        const sql = 'UPDATE acme_accounts SET deactivated_at = ? WHERE id = ? AND deactivated_at IS NULL'
        if ((await run(transaction, sql, at, id)) === 0) return
        await appendAudit(transaction, { at, actor, action: 'acme-account.deactivate', target: id })
      }),

    noteAcmeCertificate: (id, fingerprint) =>
      transact(registry, async transaction => {
        await run(transaction, 'UPDATE acme_accounts SET fingerprint = ? WHERE id = ?', fingerprint, id)
      }),
  }
}

async function assertFirstOfToken(transaction: Transaction<Schema>, token: string): Promise<void> {
  const found = await rowsOf(transaction, 'SELECT 1 FROM acme_accounts WHERE token_id = ?', token)
  if (found.length > 0)
    throw new Conflict('enrollment_token_used', 'the enrollment token has bound another account')
}

async function assertWithinClaim(
  transaction: Transaction<Schema>,
  { claim, accountsMax }: Extract<AccountBinding, { claim: string }>,
): Promise<void> {
  const sql = 'SELECT count(*) AS count FROM acme_accounts WHERE claim_id = ?'
  const [bound] = await rowsOf<{ count: number }>(transaction, sql, claim)
  if ((bound?.count ?? 0) >= accountsMax)
    throw new Conflict('claim_exceeded', `the claim has bound ${accountsMax} accounts, as many as it may`)
}

/** The key of a device, an operator or a claim is that of no account: its certificate proves it already. */
async function assertKeyIsFree(transaction: Transaction<Schema>, spkiHash: string): Promise<void> {
  await assertNoClaimKey(transaction, spkiHash)
  await assertNoOperatorKey(transaction, spkiHash)
  await assertNotRetired(transaction, spkiHash)
  await assertNotCompromised(transaction, spkiHash)
  const taken = `SELECT 1 FROM public_keys WHERE spki_hash = ? UNION ALL SELECT 1 FROM acme_accounts WHERE spki_hash = ?`
  if ((await rowsOf(transaction, taken, spkiHash, spkiHash)).length === 0) return
  throw new Conflict('public_key_taken', 'this public key is that of a device or account: make a new one')
}
