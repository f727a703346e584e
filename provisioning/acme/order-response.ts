// How orders and their authorizations look on the wire (RFC 8555 §7.1.3, §7.1.4).
import { time } from '../http/api.ts'
import { acmeFault } from './acme-problems.ts'
import type { Addresses } from './addresses.ts'
import type { Order } from './orders.ts'

/** How long a client waits before it looks again whether an operator has decided. */
export const PROCESSING_RETRY_SECONDS = 60

export function orderResponse(order: Order, addresses: Addresses) {
  const { id, identifiers, state, endsAt, fingerprint, error, replaces } = order
  return {
    status: state,
    expires: time(endsAt),
    identifiers,
    authorizations: identifiers.map((_, index) => addresses.authorization(id, index)),
    finalize: addresses.finalize(id),
    ...(state === 'valid' && fingerprint !== null ? { certificate: addresses.certificate(fingerprint) } : {}),
    ...(replaces === null ? {} : { replaces }),
    ...(error === null ? {} : { error }),
  }
}

/** Valid from the beginning: the binding of the account entitles it, and no challenge proves more. */
export function authorizationResponse({ identifiers, state, endsAt }: Order, index: number) {
  const identifier = identifiers[index]
  if (identifier === undefined) throw acmeFault('acme_malformed', 'the order has no such authorization')
  const status = state === 'invalid' ? 'deactivated' : 'valid'
  return { status, expires: time(endsAt), identifier, challenges: [] }
}
