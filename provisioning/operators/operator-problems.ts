// Why a caller is refused for who he is, how far he reaches, or what he asked before, and what each refusal becomes on the
// wire. Part of the one list in `problem.ts`.

export const operatorProblems = {
  operator_refused: {
    status: 401,
    title: 'The client certificate is no operator of this service',
    hint: 'Register it: rollcall operator add NAME --role ROLE FILE. The certificate of a device opens /v1/self alone.',
  },
  session_ended: {
    status: 401,
    title: 'The session has ended',
    hint: 'Sign in again: POST /v1/session. Sessions last 8 hours, 30 minutes without use, and no longer than their token or certificate.',
  },
  csrf_token_missing: {
    status: 403,
    title: 'The token of the session is missing or another',
    hint: 'Send X-CSRF-Token as GET /v1/session gives it, beside the cookie.',
  },
  origin_refused: {
    status: 403,
    title: 'A page of another origin made this request',
    hint: 'Use the console of this very address, or call with an API token.',
  },
  streams_exceeded: {
    status: 429,
    title: 'Too many streams of events are open',
    hint: 'Close one, or read pages of GET /v1/events.',
  },
  session_unknown: {
    status: 404,
    title: 'The caller has no session',
    hint: 'POST /v1/session begins one; a token or certificate needs none.',
  },
  scope_insufficient: {
    status: 403,
    title: 'The scope of this token does not permit that',
    hint: 'Use a token without a group.',
  },
  delegation_exceeded: {
    status: 403,
    title: 'Nobody makes anybody stronger than himself',
    hint: 'Ask for no wider role, no other group and no later end than your own; errors names which.',
  },
  group_forbidden: {
    status: 403,
    title: 'Rights of a group are not for this caller to give',
    hint: 'Let an operator do it, or use a token whose group is just that one: rollcall api-token create --group.',
  },
  attribute_forbidden: {
    status: 403,
    title: 'Rights of an attribute are not for this caller to give',
    hint: 'Let an operator do it who is not bound to a group: what a policy reads is a right.',
  },
  token_unknown: {
    status: 404,
    title: 'No such API token exists',
    hint: 'rollcall api-token list shows those that do.',
  },
  operator_unknown: {
    status: 404,
    title: 'No such operator is registered',
    hint: 'rollcall operator list shows those that are.',
  },
  operator_exists: {
    status: 409,
    title: 'The certificate or its key was registered already',
    hint: 'Make a new key and certificate: one that was revoked stays so.',
  },
  operator_name_taken: {
    status: 409,
    title: 'Somebody acts under this name already',
    hint: 'Choose another name: it stands in the audit log.',
  },
  operators_exceeded: {
    status: 409,
    title: 'There are too many operators',
    hint: 'Revoke those that nobody uses: rollcall operator list shows when each was used last.',
  },
  tokens_exceeded: {
    status: 409,
    title: 'There are too many API tokens',
    hint: 'Revoke those that nobody uses: rollcall api-token list shows when each was used last.',
  },
  device_changed: {
    status: 412,
    title: 'The device is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
  certificate_changed: {
    status: 412,
    title: 'The certificate is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
  issuer_changed: {
    status: 412,
    title: 'The issuer is not of that version any more',
    hint: 'Read it again, look at what changed, and send its ETag as If-Match.',
  },
  request_in_flight: {
    status: 409,
    title: 'This request is being served',
    hint: 'Send it again with the same Idempotency-Key once Retry-After is over.',
  },
  answer_lost: {
    status: 409,
    title: 'The change was made, but its answer was lost',
    hint: 'Read what was changed; detail names it.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The Idempotency-Key stood for another request',
    hint: 'Make a new key for every new request.',
  },
} as const
