// Which credentials a caller may create: never one with a wider role, a wider scope or a later end than the caller's own. Pure.

import type { Holder } from '../../db/operators/token-store.ts'
import type { Role } from '../../db/schema.ts'
import { Problem } from '../http/problem.ts'
import { includesRole } from './access.ts'
import { operatorProblems } from './operator-problems.ts'

type Wanted = { role: Role; group?: string; days?: number }
type Given = { role: Role; scope: string | null; expiresAt: number }

const DAY_MS = 86_400_000
export const DAYS_DEFAULT = 90
export const DAYS_MAX = 366

/** What is given for what is wanted. Throws `delegation_exceeded` where it is more than the maker has. */
export function delegate(
  maker: Pick<Holder, 'role' | 'scope' | 'expiresAt'>,
  wanted: Wanted,
  now: number,
): Given {
  if (!includesRole(maker.role, wanted.role)) {
    throw exceeded('role', `the role ${wanted.role} reaches further than ${maker.role}`)
  }
  const scope = wanted.group ?? maker.scope
  if (maker.scope !== null && scope !== maker.scope) {
    throw exceeded(
      'group',
      `an operator bound to group ${maker.scope} can only make others bound to that group`,
    )
  }
  const end = maker.expiresAt ?? Number.POSITIVE_INFINITY
  const asked = now + (wanted.days ?? DAYS_DEFAULT) * DAY_MS
  if (wanted.days !== undefined && asked > end) {
    throw exceeded('days', `it would outlive its maker, which ends at ${new Date(end).toISOString()}`)
  }
  return { role: wanted.role, scope, expiresAt: Math.min(asked, end) }
}

function exceeded(path: string, message: string): Problem {
  return new Problem(operatorProblems, 'delegation_exceeded', message, {
    errors: [{ path: `body.${path}`, message }],
  })
}
