// The caller of a signed request of ACME: an account, or a key that is none yet (RFC 8555 §6.2). The address, the nonce and the signature must hold, in
// that order of cost; what the caller may do is decided elsewhere. Any doubt refuses.
import type { AcmeAccount } from '../../db/enrollment/acme-accounts.ts'
import type { Problem } from '../http/problem.ts'
import { type AccountKey, accountKeyOf, readAccountKey } from './account-key.ts'
import { acmeFault } from './acme-problems.ts'
import type { Addresses } from './addresses.ts'
import type { Nonces } from './nonces.ts'
import {
  type Header,
  headerOf,
  type Jws,
  type Payload,
  payloadOf,
  signatureAlgorithms,
  verifiedBytes,
} from './signed-request.ts'

/** `url` is the address that was called, as the client must have signed it. */
export type AcmeRequest = {
  jws: Jws
  url: string
  addresses: Addresses
  requestId: string
  /** The problem of a request that proved nothing, which counts against its address; it is 429 after too many. */
  counted(problem: Problem): Promise<Problem>
}
/** `payload` is null where a resource is read. */
export type ByAccount = { account: AcmeAccount; payload: Payload | null }
export type ByKey = { key: AccountKey; payload: Payload | null }

export type AcmeAuthentication = {
  byAccount(request: AcmeRequest): Promise<ByAccount>
  /** By a key in the request itself: that of an account to be, or of a certificate. */
  byKey(request: AcmeRequest): Promise<ByKey>
  byEither(request: AcmeRequest): Promise<ByAccount | ByKey>
}

type Parts = {
  acmeAccount: (id: string) => AcmeAccount | null
  nonces: Pick<Nonces, 'use'>
}

export function createAcmeAuthentication({ acmeAccount, nonces }: Parts): AcmeAuthentication {
  /** The header, once the request is known to be for this address and not to be a replay. */
  function headerFor({ jws, url }: AcmeRequest): Header {
    const header = headerOf(jws, signatureAlgorithms)
    if (header['url'] !== url)
      throw acmeFault('acme_unauthorized', `protected: url is not the address that was called, ${url}`)
    if (typeof header['nonce'] !== 'string') throw acmeFault('acme_malformed', 'protected: nonce is missing')
    if (!nonces.use(header['nonce']))
      throw acmeFault(
        'acme_nonce_refused',
        'protected: nonce was used before, is too old, or is none of ours',
      )
    if ((header['jwk'] === undefined) === (header['kid'] === undefined))
      throw acmeFault('acme_malformed', 'protected: it must have one of jwk and kid')
    return header
  }

  function accountIn({ kid }: Header, addresses: Addresses): AcmeAccount {
    const id = typeof kid === 'string' ? addresses.accountIn(kid) : null
    const account = id === null ? null : acmeAccount(id)
    if (account === null)
      throw acmeFault('acme_account_unknown', 'protected: kid is the address of no account')
    if (account.deactivatedAt !== null)
      throw acmeFault('acme_unauthorized', 'the account was deactivated: make another')
    return account
  }

  async function byAccountIn(header: Header, { jws, addresses }: AcmeRequest): Promise<ByAccount> {
    if (header['kid'] === undefined)
      throw acmeFault('acme_malformed', 'protected: this request names its account by kid')
    const account = accountIn(header, addresses)
    const bytes = await verifiedBytes(jws, accountKeyOf(account.spki), signatureAlgorithms)
    // It may have ended, or have another key, by now.
    const still = acmeAccount(account.id)
    if (still?.deactivatedAt !== null || still.spkiHash !== account.spkiHash)
      throw acmeFault('acme_unauthorized', 'the account changed meanwhile')
    return { account: still, payload: payloadOf(bytes) }
  }

  async function byKeyIn(header: Header, { jws }: AcmeRequest): Promise<ByKey> {
    if (header['jwk'] === undefined)
      throw acmeFault('acme_malformed', 'protected: this request carries its key in jwk')
    const key = readAccountKey(header['jwk'])
    return { key, payload: payloadOf(await verifiedBytes(jws, key.key, signatureAlgorithms)) }
  }

  /** A nonce that is too old is no failure: clients of long connections have such. */
  async function counting<T>(request: AcmeRequest, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      const problem = error as Problem
      throw problem.reason === 'acme_nonce_refused' ? problem : await request.counted(problem)
    }
  }

  return {
    byAccount: request => counting(request, async () => byAccountIn(headerFor(request), request)),
    byKey: request => counting(request, async () => byKeyIn(headerFor(request), request)),
    byEither: request =>
      counting<ByAccount | ByKey>(request, async () => {
        const header = headerFor(request)
        return header['kid'] === undefined ? byKeyIn(header, request) : byAccountIn(header, request)
      }),
  }
}
