// A policy document on its way in: documented by its schema, validated by `policy/`, which names every fault at once.

import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type, { type TSchema } from 'typebox'
import { canonicalPolicy, type PolicyDocument, parsePolicy } from '../../policy/document.ts'
import { Problem } from '../http/problem.ts'
import { policyProblems } from './policy-problems.ts'

type Compiler = typeof TypeBoxValidatorCompiler

/**
 * The option of a route whose body is a document, or holds one. The route's schema stays what is documented; bodies are
 * validated by this one, in which the document is anything.
 */
export function policyBody(loose: 'whole' | TSchema): { validatorCompiler: Compiler } {
  const body = loose === 'whole' ? Type.Unknown() : loose
  const compile = ((route: Parameters<Compiler>[0]) =>
    TypeBoxValidatorCompiler(
      route.httpPart === 'body' ? ({ ...route, schema: body } as typeof route) : route,
    )) as Compiler
  return { validatorCompiler: compile }
}

const FAULTS_MAX = 100

/** The document in its canonical form. @throws Problem with every fault and where it is, below `at`. */
export function validatedDocument(input: unknown, name: string, at = 'body'): PolicyDocument {
  const outcome = parsePolicy(input)
  const faults = 'faults' in outcome ? [...outcome.faults] : []
  const named = (input as { name?: unknown } | null)?.name
  if (typeof named === 'string' && named !== name)
    faults.push({ path: 'name', message: `must be ${name}, as in the path` })
  if ('policy' in outcome && faults.length === 0) return canonicalPolicy(outcome.policy)
  const shown = faults
    .slice(0, FAULTS_MAX)
    .map(({ path, message }) => ({ path: path === '' ? at : `${at}.${path}`, message }))
  const count = `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`
  throw new Problem(policyProblems, 'policy_invalid', `the policy has ${count}`, { errors: shown })
}
