// Accounts (RFC 8555 §7.3): made with a binding, found by their key, given another key, ended. No contact is kept: nothing here sends mail.
import type { Actor } from '../../db/audit/audit.ts'
import type { AcmeAccount, AcmeAccountStore } from '../../db/enrollment/acme-accounts.ts'
import { Conflict } from '../../db/transact.ts'
import type { Presented } from '../enrollment/enrollment-authentication.ts'
import { holderOf } from '../enrollment/enrollment-service.ts'
import { Problem } from '../http/problem.ts'
import { type AccountKey, readAccountKey } from './account-key.ts'
import type { AcmeRequest, ByAccount, ByKey } from './acme-authentication.ts'
import { acmeFault } from './acme-problems.ts'
import {
  headerOf,
  isJws,
  type Payload,
  payloadOf,
  signatureAlgorithms,
  verifiedBytes,
} from './signed-request.ts'

type Parts = {
  store: AcmeAccountStore
  binding: (binding: unknown, key: AccountKey, newAccountUrl: string) => Promise<Presented['credential']>
}

export function createAccounts({ store, binding }: Parts) {
  /** Gives the account of the key, and whether it is a new one. */
  async function register(
    { key, payload }: ByKey,
    request: AcmeRequest,
  ): Promise<{ account: AcmeAccount; isNew: boolean }> {
    const known = store.acmeAccountOfKey(key.spkiHash)
    if (known !== null) {
      if (known.deactivatedAt !== null)
        throw acmeFault(
          'acme_unauthorized',
          'the account of this key was deactivated: make one with another key',
        )
      return { account: known, isNew: false }
    }
    if (payload?.['onlyReturnExisting'] === true)
      throw acmeFault('acme_account_unknown', 'there is no account with this key')
    if (payload?.['externalAccountBinding'] === undefined)
      throw acmeFault('acme_binding_required', 'externalAccountBinding is missing')
    const credential = await binding(payload['externalAccountBinding'], key, request.url).catch(
      async error => {
        throw error instanceof Problem ? await request.counted(error) : error
      },
    )
    const actor: Actor = { name: holderOf(credential), kind: 'enrollment', requestId: request.requestId }
    const id = await store.createAcmeAccount(key, bound(credential), actor).catch(refuseKey)
    return { account: accountOf(id), isNew: true }
  }

  function accountOf(id: string): AcmeAccount {
    const account = store.acmeAccount(id)
    if (account === null) throw new Error('an account that was made cannot be read back')
    return account
  }

  /** Ends the account where that is asked for; gives it as it is then. */
  async function update({ account, payload }: ByAccount, requestId: string): Promise<AcmeAccount> {
    const status = payload?.['status']
    if (status === undefined) return account
    if (status !== 'deactivated')
      throw acmeFault('acme_malformed', 'status: an account can be deactivated, and nothing else')
    await store.deactivateAcmeAccount(account.id, actorOf(account, requestId))
    return accountOf(account.id)
  }

  /** RFC 8555 §7.3.5: the new key signs that it takes over, the old one signs that. */
  async function changeKey({ account, payload }: ByAccount, request: AcmeRequest): Promise<AcmeAccount> {
    const { key, inner } = await newKeyIn(payload, request)
    if (inner?.['account'] !== request.addresses.account(account.id))
      throw acmeFault('acme_malformed', 'payload: account is not the one that asks')
    if (readAccountKey(inner['oldKey']).spkiHash !== account.spkiHash)
      throw acmeFault('acme_malformed', 'payload: oldKey is not the key of the account')
    await store.changeAcmeAccountKey(account.id, key, actorOf(account, request.requestId)).catch(refuseKey)
    return accountOf(account.id)
  }

  return { register, update, changeKey }
}

async function newKeyIn(
  jws: Payload | null,
  { url }: AcmeRequest,
): Promise<{ key: AccountKey; inner: Payload | null }> {
  if (!isJws(jws)) throw acmeFault('acme_malformed', 'payload: it is no flattened JWS of the new key')
  const header = headerOf(jws, signatureAlgorithms)
  if (header['url'] !== url || header['kid'] !== undefined)
    throw acmeFault('acme_malformed', 'payload: its header must have jwk, and the url of the outer one')
  const key = readAccountKey(header['jwk'])
  return { key, inner: payloadOf(await verifiedBytes(jws, key.key, signatureAlgorithms)) }
}

/** A key that has an owner, or is known to thieves, is a fault of the key and of no certificate request. */
function refuseKey(error: unknown): never {
  const isKey = error instanceof Conflict && /^public_key_/.test(error.code)
  throw isKey ? acmeFault('acme_key_refused', error.message) : error
}

function bound(credential: Presented['credential']) {
  if (credential.kind === 'token') return { token: credential.id }
  if (credential.kind === 'claim') return { claim: credential.claim.id, accountsMax: credential.claim.quota }
  throw new Error('an account is bound by a token or a claim')
}

/** What an account does to itself. */
export function actorOf({ id }: AcmeAccount, requestId: string): Actor {
  return { name: `acme-account:${id}`, kind: 'enrollment', requestId }
}
