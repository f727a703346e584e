// The kinds of changes that brokers follow.

/**
 * `session` ends a connection, `stored_session` also deletes what is stored of the session, `retained` what a topic holds; none takes
 * a right.
 */
export const changeKinds = [
  'certificate',
  'device',
  'issuer',
  'policy',
  'session',
  'stored_session',
  'retained',
] as const
export type ChangeKind = (typeof changeKinds)[number]
