// Whether a scenario has the shape of its schema: every problem in words, by its place. Does not know YAML.
import Value from 'typebox/value'
import { ScenarioSchema } from './schema.ts'

/** Keys from the root, such as `['groups', 0, 'publish', 1, 'every']`. */
export type Path = readonly (string | number)[]

export type ScenarioProblem = { path: Path; message: string }

/** Where the scenario does not fit its schema; one fault for each place. */
export function shapeProblems(scenario: unknown): ScenarioProblem[] {
  const found = new Map<string, ScenarioProblem>()
  for (const error of Value.Errors(ScenarioSchema, scenario)) {
    const path = pointerPath(error.instancePath)
    const message = saying(error, path)
    if (message !== null && !found.has(error.instancePath)) found.set(error.instancePath, { path, message })
  }
  return [...found.values()]
}

type SchemaError = ReturnType<typeof Value.Errors>[number]

/** The expected value by the schema's description; null where another error is clearer. */
function saying(error: SchemaError, path: Path): string | null {
  const params = error.params as Record<string, unknown>
  const schema = schemaAt(error.schemaPath)
  switch (error.keyword) {
    case 'boolean':
      return `unknown; ${known(schemaAt(error.schemaPath.replace(/\/additionalProperties$/, '')), path)}`
    case 'additionalProperties':
      return null
    case 'required':
      return `${(params['requiredProperties'] as string[]).join(', ')} is missing`
    case 'enum':
      return `expected ${(params['allowedValues'] as string[]).join(', ')}`
    case 'pattern':
      return `expected ${schema?.['expected'] ?? error.message}`
    case 'type':
      return `expected ${schema?.['expected'] ?? article(String(params['type']))}`
    case 'minProperties':
    case 'maxProperties':
      return `expected exactly one of ${Object.keys((schema?.['properties'] as object) ?? {}).join(', ')}`
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
      return `expected a number ${params['comparison']} ${params['limit']}`
    default:
      return `it ${error.message}`
  }
}

function known(schema: Record<string, unknown> | null, path: Path): string {
  const names = Object.keys((schema?.['properties'] as object) ?? {})
  const meant = names.find(
    name => name.toLowerCase() === String(path.at(-1)).toLowerCase().replaceAll('-', ''),
  )
  return meant ? `did you mean ${meant}?` : `expected ${names.join(', ')}`
}

function article(type: string): string {
  return (
    { object: 'a map', array: 'a list', string: 'a text', integer: 'a whole number' }[type] ?? `a ${type}`
  )
}

function schemaAt(pointer: string): Record<string, unknown> | null {
  let at: unknown = ScenarioSchema
  for (const key of pointer.split('/').slice(1)) at = (at as Record<string, unknown> | undefined)?.[key]
  return (at as Record<string, unknown>) ?? null
}

function pointerPath(pointer: string): Path {
  return pointer
    .split('/')
    .slice(1)
    .map(key => key.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map(key => (/^\d+$/.test(key) ? Number(key) : key))
}
