// Recovers access if no token is valid any more: writes a token into the registry file. The audit log gets a row for it, and the
// service may run or not.
import { statSync } from 'node:fs'
import { userInfo } from 'node:os'
import type { ApiToken, NewApiToken } from '../../client/index.ts'
import { openForNotes } from '../../db/open.ts'
import { createTokenStore } from '../../db/operators/token-store.ts'
import { dataPaths } from '../data-directory.ts'
import { CommandFailed, fileFault } from '../errors.ts'

const DAYS_DEFAULT = 90
const DAY_MS = 86_400_000

export async function makeLocalToken(
  data: string,
  { name, role, group, days = DAYS_DEFAULT }: NewApiToken,
): Promise<ApiToken & { token: string }> {
  if (!/^[A-Za-z0-9._-]{1,128}$/.test(name)) {
    throw new CommandFailed(`${name} is no name for a token`, 'use 1 to 128 of A-Z a-z 0-9 . _ -')
  }
  const file = dataPaths(data).registry
  assertOwner(file)
  const registry = openForNotes(file)
  try {
    // Others are promised nothing of what they note; this is a change, and on disk when it is told.
    registry.sqlite.pragma('synchronous = FULL')
    const at = Date.now()
    const expiresAt = at + days * DAY_MS
    const scope = group ?? null
    const createdBy = `local:${userInfo().username}`
    const store = createTokenStore(registry, () => at)
    const { id, token } = await store.createToken(
      { name, role, scope, expiresAt },
      { name: createdBy, kind: 'local' },
    )
    const times = { createdAt: new Date(at).toISOString(), expiresAt: new Date(expiresAt).toISOString() }
    const unused = { revokedAt: null, lastUsedAt: null, lastUsedAddress: null }
    return { id, name, role, group: scope, state: 'accepted', ...times, createdBy, ...unused, token }
  } finally {
    await registry.query.destroy()
    registry.sqlite.close()
  }
}

/** A registry written by another user could not be read by the service any more. */
function assertOwner(file: string): void {
  let owner: number
  try {
    owner = statSync(file).uid
  } catch (error) {
    throw fileFault('there is no registry to write a token into', file, error)
  }
  if (process.getuid === undefined || process.getuid() === owner) return
  throw new CommandFailed(`${file} belongs to another user`, `run this as its owner: sudo -u '#${owner}' …`)
}
