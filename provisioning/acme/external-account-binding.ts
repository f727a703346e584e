// External account binding (RFC 8555 §7.3.4): an inner JWS over the account's key, under the MAC key that was handed out with an enrollment token or claim.
// A client that can make it holds the secret; what that opens is what the token or claim opens on every other way.
import type { Claim } from '../../db/enrollment/claims.ts'
import type { PresentedToken } from '../../db/enrollment/enrollment-tokens.ts'
import type { EnrollmentAuthentication, Presented } from '../enrollment/enrollment-authentication.ts'
import type { SharedSecrets } from '../enrollment/shared-secrets.ts'
import { Problem } from '../http/problem.ts'
import { type AccountKey, readAccountKey } from './account-key.ts'
import { acmeFault } from './acme-problems.ts'
import { headerOf, isJws, macAlgorithms, payloadOf, verifiedBytes } from './signed-request.ts'

type Parts = {
  knownToken: (id: string) => PresentedToken | null
  knownClaim: (id: string) => Claim | null
  secrets: SharedSecrets
  enrollment: Pick<EnrollmentAuthentication, 'byToken' | 'byClaim'>
}

const ID = /^[0-9a-f-]{36}$/

/** Gives the credential that an inner JWS proves for a new account. Throws the problem where it proves none, or one that opens nothing. */
export function createAccountBinding({ knownToken, knownClaim, secrets, enrollment }: Parts) {
  return async (
    binding: unknown,
    key: AccountKey,
    newAccountUrl: string,
  ): Promise<Presented['credential']> => {
    if (!isJws(binding))
      throw acmeFault('acme_malformed', 'externalAccountBinding: it is no flattened JWS without header')
    const header = headerOf(binding, macAlgorithms)
    if (header['nonce'] !== undefined)
      throw acmeFault('acme_malformed', 'externalAccountBinding: it must have no nonce')
    if (header['url'] !== newAccountUrl)
      throw acmeFault('acme_unauthorized', 'externalAccountBinding: url is not that of newAccount')
    const kid = typeof header['kid'] === 'string' && ID.test(header['kid']) ? header['kid'] : ''
    const token = knownToken(kid)
    const claim = token === null ? knownClaim(kid) : null
    if (token === null && claim === null)
      throw acmeFault(
        'acme_unauthorized',
        'externalAccountBinding: kid is that of no enrollment token or claim',
      )
    // In base64url, as clients decode what they were given.
    const macKey = Buffer.from(secrets.secretOf('acme', kid), 'base64url')
    const bytes = await verifiedBytes(binding, macKey, macAlgorithms)
    if (readAccountKey(payloadOf(bytes)).spkiHash !== key.spkiHash)
      throw acmeFault(
        'acme_unauthorized',
        'externalAccountBinding: it binds another key than the account has',
      )
    const presented = token === null ? enrollment.byClaim(claim) : enrollment.byToken(token)
    if (presented instanceof Problem) throw presented
    return presented.credential
  }
}
