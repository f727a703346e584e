// If-Match (RFC 9110 §13.1.1): which version of a thing a caller saw. Whether it is that version still, the verb asks in its
// transaction.

import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { httpProblems } from './http-problems.ts'
import { Problem } from './problem.ts'

export const IfMatch = Type.Object({
  'if-match': Type.Optional(
    Type.String({ maxLength: 128, description: 'The ETag of the version that was seen, or * for any' }),
  ),
})

/** The version a caller saw; undefined where he does not say, or says that any will do. */
export function versionSeen({ headers }: FastifyRequest): string | undefined {
  const header = headers['if-match']?.trim()
  if (header === undefined || header === '*') return undefined
  // A list is more than anybody needs here; a weak tag never matches.
  return /^"([^"]*)"$/.exec(header)?.[1] ?? header
}

/** A replacement names the version that the caller saw, so that it does not undo another caller's change. */
export function assertSaysWhich({ headers }: FastifyRequest, what: string): void {
  if (headers['if-match'] !== undefined) return
  throw new Problem(httpProblems, 'version_required', `${what} would be replaced, whatever it is by now`)
}

export function etag(version: string): string {
  return `"${version}"`
}
