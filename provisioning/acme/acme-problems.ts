// What is wrong with a request of ACME: a problem that also has an error type of RFC 8555 §6.7, so that clients of ACME know what to do.
import { type Fault, Problem, type ProblemDefinition } from '../http/problem.ts'

const hint = 'detail says what is wrong; docs/acme.md has commands that work.'

export const acmeProblems = {
  acme_malformed: { status: 400, title: 'The ACME request is malformed', hint },
  acme_nonce_refused: {
    status: 400,
    title: 'The nonce is none that may still be used',
    hint: 'Send the request again with the nonce of this answer: Replay-Nonce.',
  },
  acme_algorithm_refused: {
    status: 400,
    title: 'The JWS is signed with an algorithm that is not taken',
    hint: 'Sign with one of those in algorithms.',
  },
  acme_key_refused: {
    status: 400,
    title: 'The account key is not acceptable',
    hint: 'Make an account with a P-256, P-384, Ed25519 or RSA key of 2048 to 8192 bits that nothing else has.',
  },
  acme_account_unknown: {
    status: 400,
    title: 'There is no such ACME account',
    hint: 'Make one: the client registers with the key ID and HMAC key of rollcall enrollment-token create --acme.',
  },
  acme_binding_required: {
    status: 403,
    title: 'An ACME account needs an external account binding',
    hint: 'Give the client key ID and HMAC key of rollcall enrollment-token create --acme.',
  },
  acme_unauthorized: { status: 403, title: 'The ACME account may not do that', hint },
  acme_identifier_refused: {
    status: 400,
    title: 'An identifier is none that can be asked for',
    hint: 'Ask for one of type dns or permanent-identifier of letters, digits, dots, dashes and underscores.',
  },
  acme_order_not_ready: {
    status: 403,
    title: 'The order cannot be finalized',
    hint: 'Read the order: it is finalized already, being decided about, or invalid. Make another.',
  },
  acme_certificate_replaced: {
    status: 409,
    title: 'Another order replaces the certificate already',
    hint: 'Finish that order, or ask for one without replaces.',
  },
  acme_certificate_revoked: { status: 400, title: 'The certificate is revoked already', hint: null },
  acme_reason_refused: {
    status: 400,
    title: 'This reason of revocation is for an operator to give',
    hint: 'Revoke with one of 0, 3, 4, 5, and tell an operator.',
  },
} as const satisfies Record<string, ProblemDefinition>

type Reason = keyof typeof acmeProblems

/** A request that is refused for what it is in ACME. */
export function acmeFault(reason: Reason, detail: string): Problem<Reason> {
  return new Problem(acmeProblems, reason, detail)
}

const TYPES = 'urn:ietf:params:acme:error:'
const typesOfReasons: Readonly<Record<string, string>> = {
  acme_malformed: 'malformed',
  acme_nonce_refused: 'badNonce',
  acme_algorithm_refused: 'badSignatureAlgorithm',
  acme_key_refused: 'badPublicKey',
  acme_account_unknown: 'accountDoesNotExist',
  acme_binding_required: 'externalAccountRequired',
  acme_identifier_refused: 'rejectedIdentifier',
  acme_order_not_ready: 'orderNotReady',
  acme_certificate_replaced: 'alreadyReplaced',
  acme_certificate_revoked: 'alreadyRevoked',
  acme_reason_refused: 'badRevocationReason',
  csr_invalid: 'badCSR',
  key_unacceptable: 'badCSR',
  public_key_taken: 'badCSR',
  public_key_compromised: 'badCSR',
  rate_limited: 'rateLimited',
  renewal_too_early: 'rateLimited',
}

/** The error type of a problem of any feature. */
function acmeTypeOf({ reason, definition: { status } }: Problem): string {
  const known = Object.hasOwn(typesOfReasons, reason) ? typesOfReasons[reason] : undefined
  if (known !== undefined) return TYPES + known
  if (status >= 500) return `${TYPES}serverInternal`
  return TYPES + ([400, 404, 405, 408, 413, 414, 415].includes(status) ? 'malformed' : 'unauthorized')
}

/** What an order says of the refusal that ended it (RFC 8555 §7.1.3). */
export type OrderError = { type: string; title: string; status: number; detail: string; reason: string }

export function orderErrorOf(problem: Problem): OrderError {
  const { title, status } = problem.definition
  return { type: acmeTypeOf(problem), title, status, detail: problem.message, reason: problem.reason }
}

/** What a document of RFC 9457 becomes for a client of ACME: its type, and the algorithms that are taken (RFC 8555 §6.2). */
export function inAcme<Document extends { type: string; errors?: readonly Fault[] }>(
  document: Document,
  problem: Problem,
  algorithms: readonly string[],
): Document & { algorithms?: readonly string[] } {
  const type = acmeTypeOf(problem)
  return { ...document, type, ...(problem.reason === 'acme_algorithm_refused' ? { algorithms } : {}) }
}
