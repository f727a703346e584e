// What an order asks for (RFC 8555 §7.4): identifiers, which name a device only where nothing else does. Pure.
import { acmeFault } from './acme-problems.ts'
import type { Identifier } from './orders.ts'
import type { Payload } from './signed-request.ts'

export type NewOrder = { identifiers: Identifier[]; replaces: string | null }

const IDENTIFIERS_MAX = 20
const VALUE = /^[A-Za-z0-9._-]{1,253}$/
const CERTIFICATE_ID = /^[A-Za-z0-9_-]{1,200}\.[A-Za-z0-9_-]{1,60}$/

/** Throws `acme_malformed` or `acme_identifier_refused`. */
export function askedFor(payload: Payload | null): NewOrder {
  const given = payload?.['identifiers']
  if (!Array.isArray(given) || given.length === 0 || given.length > IDENTIFIERS_MAX)
    throw acmeFault('acme_malformed', `identifiers: there must be 1 to ${IDENTIFIERS_MAX}`)
  if (payload?.['notBefore'] !== undefined || payload?.['notAfter'] !== undefined)
    throw acmeFault(
      'acme_malformed',
      'notBefore and notAfter are not taken: the service decides about validity',
    )
  const replaces = payload?.['replaces'] ?? null
  if (replaces !== null && (typeof replaces !== 'string' || !CERTIFICATE_ID.test(replaces)))
    throw acmeFault('acme_malformed', 'replaces: it is no certificate identifier of RFC 9773')
  return { identifiers: given.map(identifierOf), replaces }
}

function identifierOf(given: unknown): Identifier {
  const { type, value } = (typeof given === 'object' && given !== null ? given : {}) as Record<
    string,
    unknown
  >
  if (typeof type !== 'string' || typeof value !== 'string')
    throw acmeFault('acme_malformed', 'identifiers: each has a type and a value')
  if (type !== 'dns' && type !== 'permanent-identifier')
    throw acmeFault(
      'acme_identifier_refused',
      'identifiers: the type is none of dns and permanent-identifier',
    )
  if (!VALUE.test(value))
    throw acmeFault(
      'acme_identifier_refused',
      'identifiers: a value is 1 to 253 letters, digits, dots, dashes and underscores, and no wildcard',
    )
  return { type, value }
}
