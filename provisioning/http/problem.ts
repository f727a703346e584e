// Problem documents (RFC 9457): the one list of reasons why the API refuses, and what each becomes on the wire.
// Refuses to know HTTP servers; `problem-answers.ts` sends what is made here.

import { RegistryError } from '../../db/registry-error.ts'
import { Conflict, type ConflictCode } from '../../db/transact.ts'
import { anchorProblems } from '../anchors/anchor-problems.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import { jobProblems } from '../jobs/job-problems.ts'
import { operatorProblems } from '../operators/operator-problems.ts'
import { webhookProblems } from '../webhooks/webhook-problems.ts'
import type { Fault } from '../x509/csr.ts'

type Entry = { status: number; title: string; hint: string | null; retryAfterSeconds?: number }

const entries = {
  request_invalid: {
    status: 400,
    title: 'The request is not what this route takes',
    hint: 'Look at errors; /docs shows what the route takes.',
  },
  body_malformed: { status: 400, title: 'The body is not JSON', hint: 'Send one JSON object.' },
  cursor_invalid: {
    status: 400,
    title: 'The cursor is not one of ours',
    hint: 'Take the cursor from nextCursor of the page before, or leave it out.',
  },
  csr_invalid: {
    status: 400,
    title: 'The certification request cannot be used',
    hint: 'openssl req -new -key device.key -subj "/CN=device" makes one.',
  },
  key_unacceptable: {
    status: 400,
    title: 'The key is too weak or of a kind we do not accept',
    hint: 'Use P-256, P-384, Ed25519, RSA of at least 2048 bits, or ML-DSA where the setting pq is not off.',
  },
  certificate_invalid: {
    status: 400,
    title: 'The certificate cannot go on the roll',
    hint: 'Look at errors, or enroll the device with a CSR instead.',
  },
  policy_invalid: {
    status: 400,
    title: 'The policy document cannot be used',
    hint: 'Look at errors: all faults are there, each with its path.',
  },
  token_missing: {
    status: 401,
    title: 'Nobody knows who calls',
    hint: 'Send Authorization: Bearer TOKEN, or show the certificate of an operator; the first token is in admin.token of the data directory.',
  },
  token_refused: {
    status: 401,
    title: 'The API token is not accepted',
    hint: 'Use the token in admin.token of the data directory this service runs on; where it is lost: rollcall api-token create NAME --role admin --data DIR --local.',
  },
  certificate_required: {
    status: 401,
    title: 'No client certificate was presented',
    hint: 'Call with the certificate and key of the device: curl --cert device.crt --key device.key.',
  },
  admission_refused: {
    status: 403,
    title: 'The certificate is not admitted',
    hint: 'errors names the reason; rollcall explain on the certificate says more.',
  },
  role_insufficient: {
    status: 403,
    title: 'The role of this token does not permit that',
    hint: 'Use a token of a wider role.',
  },
  route_unknown: { status: 404, title: 'There is nothing here', hint: '/docs lists what there is.' },
  device_unknown: {
    status: 404,
    title: 'No such device is registered',
    hint: 'Register it: rollcall device add.',
  },
  certificate_unknown: {
    status: 404,
    title: 'No such certificate is on the roll',
    hint: 'rollcall certificate list shows those that are.',
  },
  ...anchorProblems,
  ...operatorProblems,
  policy_unknown: {
    status: 404,
    title: 'No such policy exists',
    hint: 'rollcall policy list shows those that do.',
  },
  attachment_unknown: {
    status: 404,
    title: 'The policy is not attached to that',
    hint: 'rollcall policy show NAME shows what it is attached to.',
  },
  policy_attached: {
    status: 409,
    title: 'The policy is attached',
    hint: 'Detach it first: rollcall policy detach NAME --everyone, --device, --group or --issuer.',
  },
  policy_changed: {
    status: 412,
    title: 'The policy is not of that version any more',
    hint: 'Read it again, look at what changed (rollcall policy diff FILE), and send its ETag as If-Match.',
  },
  version_required: {
    status: 428,
    title: 'Whoever replaces something must name the version that is replaced',
    hint: 'Send its ETag as If-Match, or If-Match: * to replace any.',
  },
  device_exists: {
    status: 409,
    title: 'A device of this ID is registered already',
    hint: 'Read it with GET /v1/devices/ID, change it with PATCH.',
  },
  device_state_forbids: {
    status: 409,
    title: 'The state of the device forbids that',
    hint: 'A decommissioned device stays so: register a new one.',
  },
  certificate_exists: { status: 409, title: 'The certificate is on the roll already', hint: null },
  certificate_issued_here: {
    status: 409,
    title: 'The certificate was issued here',
    hint: 'What this CA signs is listed as it is signed, or never. Enroll the device: rollcall device enroll.',
  },
  certificate_status_forbids: {
    status: 409,
    title: 'The status of the certificate forbids that',
    hint: null,
  },
  certificates_exceeded: {
    status: 409,
    title: 'Two certificates admit the device already',
    hint: 'Revoke the one it does not use: rollcall certificate revoke FINGERPRINT --reason superseded.',
  },
  issuer_current: {
    status: 409,
    title: 'The issuer is the CA that issues now',
    hint: 'Hand over to another first: rollcall ca rotate. In an emergency: rollcall issuer disable ID.',
  },
  issuer_in_use: {
    status: 409,
    title: 'Devices still rely on the issuer',
    hint: 'Wait until they have renewed (rollcall ca rotate --status), or cut them with force.',
  },
  root_key_offline: {
    status: 409,
    title: 'The key of the root is offline',
    hint: 'Bring it for this once: rollcall ca rotate --root-key FILE --root-passphrase-file FILE.',
  },
  rotation_running: {
    status: 409,
    title: 'A rotation is under way',
    hint: 'Look how far it is: rollcall ca status.',
    retryAfterSeconds: 5,
  },
  issuer_disabled: {
    status: 409,
    title: 'The issuing CA is disabled',
    hint: 'Enable it again: rollcall issuer enable ID.',
  },
  renewal_too_early: {
    status: 409,
    title: 'The certificate is not due for renewal yet',
    hint: 'Try again after Retry-After. Where the key is no longer safe, renew with the reason keyCompromise and a new key.',
  },
  public_key_taken: {
    status: 409,
    title: 'The public key belongs to another device',
    hint: 'Generate a new key pair: a key identifies one device for ever.',
  },
  public_key_compromised: {
    status: 409,
    title: 'The public key was revoked as compromised',
    hint: 'Generate a new key pair.',
  },
  body_too_large: { status: 413, title: 'The body is too large', hint: 'Bodies are at most 64 KiB.' },
  media_type_unsupported: {
    status: 415,
    title: 'The media type is not supported',
    hint: 'Send Content-Type: application/json.',
  },
  trial_too_large: {
    status: 422,
    title: 'The trial is more work than the service takes on',
    hint: 'Try fewer topics, or attachments that reach fewer devices.',
  },
  rate_limited: { status: 429, title: 'Too many requests', hint: 'Wait as long as Retry-After says.' },
  request_refused: { status: 400, title: 'The request cannot be served', hint: null },
  internal_error: {
    status: 500,
    title: 'Something failed here',
    hint: 'The log line with this request ID says what.',
  },
  ...enrollmentProblems,
  ...jobProblems,
  ...webhookProblems,
  ca_expired: {
    status: 503,
    title: 'The issuing CA has expired',
    hint: 'Check the clock of this machine; else rotate the issuing CA.',
    retryAfterSeconds: 3600,
  },
  service_busy: {
    status: 503,
    title: 'The service has more to do than it takes on',
    hint: 'Try again; nothing was done. Revocations are served meanwhile.',
    retryAfterSeconds: 1,
  },
  registry_busy: {
    status: 503,
    title: 'The registry is locked by another writer',
    hint: 'Try again; nothing was written.',
    retryAfterSeconds: 1,
  },
  registry_unavailable: {
    status: 503,
    title: 'The registry cannot be used',
    hint: 'Check disk and registry.db; the log line with this request ID says more.',
    retryAfterSeconds: 5,
  },
  registry_full: {
    status: 507,
    title: 'The disk that holds the registry is full',
    hint: 'Make room; nothing was written, and the next request is served without a restart.',
    retryAfterSeconds: 5,
  },
} as const satisfies Record<string, Entry> & Record<ConflictCode, Entry>

export type ProblemReason = keyof typeof entries
export const problems: Readonly<Record<ProblemReason, Entry>> = entries

/** A refusal on its way to the caller. `detail` and `errors` are shown to them: nothing internal belongs there. */
export class Problem extends Error {
  readonly reason: ProblemReason
  readonly errors: readonly Fault[]
  readonly retryAfterSeconds: number | undefined

  constructor(
    reason: ProblemReason,
    detail: string,
    more: { errors?: readonly Fault[]; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(detail, { cause: more.cause })
    this.name = 'Problem'
    this.reason = reason
    this.errors = more.errors ?? []
    this.retryAfterSeconds = more.retryAfterSeconds ?? problems[reason].retryAfterSeconds
  }

  get status(): number {
    return problems[this.reason].status
  }
}

export type ProblemDocument = {
  type: string
  title: string
  status: number
  detail: string
  reason: ProblemReason
  requestId: string
  hint: string | null
  errors?: readonly Fault[]
}

export function problemDocument(problem: Problem, requestId: string): ProblemDocument {
  const { title, status, hint } = problems[problem.reason]
  return {
    type: `urn:rollcall:problem:${problem.reason}`,
    title,
    status,
    detail: problem.message,
    reason: problem.reason,
    requestId,
    hint,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
  }
}

/** Makes a problem of whatever was thrown on the way to an answer. What it does not know is an `internal_error`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof Conflict) return new Problem(error.code, error.message)
  if (error instanceof RegistryError) {
    const { code } = error
    if (code === 'registry_busy') return new Problem(code, 'nothing was written', { cause: error })
    if (code === 'registry_full') return new Problem(code, 'nothing was written', { cause: error })
    return new Problem('registry_unavailable', 'the registry could not be read or written', { cause: error })
  }
  return new Problem('internal_error', 'the request failed and nothing is known about its effect', {
    cause: error,
  })
}
