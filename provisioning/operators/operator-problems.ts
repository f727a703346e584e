// Problems of a caller: its credential, role and scope, the operators that it may make, and the wire form of each.

export const operatorProblems = {
  token_missing: {
    status: 401,
    title: 'The caller is not authenticated',
    hint: 'Send Authorization: Bearer TOKEN, or show the certificate of an operator; the first token is in admin.token of the data directory.',
  },
  token_refused: {
    status: 401,
    title: 'The API token is not accepted',
    hint: 'Use the token in admin.token of the data directory this service runs on; where it is lost: rollcall api-token create NAME --role admin --data DIR --local.',
  },
  role_insufficient: {
    status: 403,
    title: 'The role of this token does not permit that',
    hint: 'Use a token of a wider role.',
  },
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
    hint: 'Let an operator without a group do it: a name that policies read gives rights.',
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
} as const
