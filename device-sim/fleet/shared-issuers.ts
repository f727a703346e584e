// One copy of each issuer chain for all devices of a worker. Knows nothing else of credentials.
import type { Credentials } from '../links/session.ts'

const issuersOnce = new Map<string, string>()
const ISSUERS_MAX = 64

/** Thousands of devices have the same chain: its text is kept once. */
export function withSharedIssuers(credentials: Credentials): Credentials {
  const { issuers } = credentials
  const known = issuersOnce.get(issuers)
  if (known === undefined && issuersOnce.size < ISSUERS_MAX) issuersOnce.set(issuers, issuers)
  return { ...credentials, issuers: known ?? issuers }
}
