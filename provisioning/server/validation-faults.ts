// What a validator found wrong, as faults a caller can act on: each with a path and words of its own.
import type { FastifySchemaValidationError } from 'fastify'
import type { Fault } from '../http/problem.ts'
import { NAME_PATTERN } from '../http/schemas.ts'

/** What an ID or name may be, for a person. */
const NAME_RULE = 'may be 1 to 128 of A-Z a-z 0-9 . _ - (but not . or .. or a name such as constructor)'

const FAULTS_MAX = 20

/** `part` is where the value stood: `body`, `query`, `path`. */
export function faultsOf(errors: readonly FastifySchemaValidationError[], part: string): Fault[] {
  const telling = nearest(errors.filter(error => error.keyword !== 'anyOf' && error.keyword !== 'boolean'))
  return (telling.length > 0 ? telling : errors).slice(0, FAULTS_MAX).map(error => ({
    path: `${part}${error.instancePath.replaceAll('/', '.')}`,
    message: messageOf(error),
  }))
}

/**
 * Where a value may take one of several shapes, every shape complains. Those it resembles are kept: the ones that miss
 * no field of their own and are of its type.
 */
function nearest(errors: readonly FastifySchemaValidationError[]): readonly FastifySchemaValidationError[] {
  const shapeOf = (error: FastifySchemaValidationError) => /^#\/anyOf\/\d+/.exec(error.schemaPath)?.[0] ?? ''
  const far = new Set(
    errors
      .filter(
        error => error.instancePath === '' && (error.keyword === 'required' || error.keyword === 'type'),
      )
      .map(shapeOf),
  )
  const near = errors.filter(error => !far.has(shapeOf(error)))
  return near.length > 0
    ? near
    : errors.filter(error => error.keyword === 'required' || error.keyword === 'type')
}

function messageOf({ keyword, params, message = 'is not valid' }: FastifySchemaValidationError): string {
  const { additionalProperties, requiredProperties, allowedValues, pattern } = params as Record<
    string,
    unknown
  >
  if (keyword === 'additionalProperties') return `unknown field ${listed(additionalProperties)}`
  if (keyword === 'required') return `missing field ${listed(requiredProperties)}`
  if (keyword === 'enum') return `must be one of ${listed(allowedValues)}`
  if (keyword === 'pattern' && pattern === NAME_PATTERN) return NAME_RULE
  return message
}

function listed(values: unknown): string {
  return Array.isArray(values) ? values.map(value => JSON.stringify(value)).join(', ') : ''
}
