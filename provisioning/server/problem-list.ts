// The list of all problems that the API knows, and the problem that an error becomes on its way to the caller.
import { KeyTaken } from '../../db/keyed-changes.ts'
import { RegistryError } from '../../db/registry-error.ts'
import { Conflict, type ConflictCode } from '../../db/transact.ts'
import { acmeProblems } from '../acme/acme-problems.ts'
import { anchorProblems } from '../anchors/anchor-problems.ts'
import { caProblems } from '../ca/ca-problems.ts'
import { cmpProblems } from '../cmp/cmp-problems.ts'
import { enrollmentProblems } from '../enrollment/enrollment-problems.ts'
import { eventProblems } from '../events/event-problems.ts'
import { httpProblems } from '../http/http-problems.ts'
import { idempotencyProblems } from '../http/idempotency-problems.ts'
import { Problem, type ProblemDefinition } from '../http/problem.ts'
import { rollProblems } from '../http/roll-problems.ts'
import { jobProblems } from '../jobs/job-problems.ts'
import { nodeProblems } from '../nodes/node-problems.ts'
import { operatorProblems } from '../operators/operator-problems.ts'
import { policyProblems } from '../policies/policy-problems.ts'
import { retainedProblems } from '../retained/retained-problems.ts'
import { selfProblems } from '../self-service/self-problems.ts'
import { tpmProblems } from '../tpm/tpm-problems.ts'
import { tryoutProblems } from '../tryouts/tryout-problems.ts'
import { webhookProblems } from '../webhooks/webhook-problems.ts'
import { x509Problems } from '../x509/x509-problems.ts'

export const problems = {
  ...httpProblems,
  ...rollProblems,
  ...x509Problems,
  ...caProblems,
  ...selfProblems,
  ...policyProblems,
  ...eventProblems,
  ...idempotencyProblems,
  ...anchorProblems,
  ...operatorProblems,
  ...enrollmentProblems,
  ...tpmProblems,
  ...cmpProblems,
  ...acmeProblems,
  ...jobProblems,
  ...nodeProblems,
  ...webhookProblems,
  ...retainedProblems,
  ...tryoutProblems,
} satisfies Record<string, ProblemDefinition> & Record<ConflictCode, ProblemDefinition>

/** The problem for an error that a handler threw. An error that is not foreseen is an `internal_error`. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof KeyTaken)
    return new Problem(idempotencyProblems, 'request_in_flight', error.message, { retryAfterSeconds: 1 })
  if (error instanceof Conflict) return new Problem(problems, error.code, error.message)
  if (error instanceof RegistryError) {
    const { code } = error
    if (code === 'registry_busy' || code === 'registry_full')
      return new Problem(httpProblems, code, 'nothing was written', { cause: error })
    const detail =
      code === 'registry_unreachable'
        ? 'the registry in PostgreSQL does not answer: whether the change was made is not known, so look, or ask again with the same Idempotency-Key'
        : code === 'registry_refused'
          ? 'PostgreSQL refuses a row of this change, and nothing was written: its log says why'
          : 'the registry could not be read or written'
    return new Problem(httpProblems, 'registry_unavailable', detail, { cause: error })
  }
  const detail = 'the request failed and nothing is known about its effect'
  return new Problem(httpProblems, 'internal_error', detail, { cause: error })
}
