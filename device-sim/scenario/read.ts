// YAML text in, a scenario out, or every problem with its line and the expected value.
// Does not know what a scenario means beyond its shape: plan.ts checks the rest with the same positions.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import Value from 'typebox/value'
import { type Document, isPair, LineCounter, parseDocument } from 'yaml'
import { BadUsage } from '../failure.ts'
import { type Scenario, ScenarioSchema } from './schema.ts'

/** Keys from the root, such as `['groups', 0, 'publish', 1, 'every']`. */
export type Path = readonly (string | number)[]

export type ScenarioProblem = { path: Path; message: string }

type ScenarioText = {
  file: string
  scenario: Scenario
  /** `FILE:LINE:COLUMN: PATH: MESSAGE`, as editors and compilers do. */
  locate(fault: ScenarioProblem): string
}

const BYTES_MAX = 1_048_576
const FAULTS_MAX = 20

/** @throws BadUsage with one line for each fault. */
export function readScenario(file: string): ScenarioText {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new BadUsage([`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`])
  }
  return parseScenario(text, file)
}

/** @throws BadUsage with one line for each fault. */
export function parseScenario(text: string, file: string): ScenarioText {
  if (text.length > BYTES_MAX) throw new BadUsage([`${file}: larger than 1 MiB`])
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  if (document.errors.length > 0) {
    throw new BadUsage(
      document.errors.slice(0, FAULTS_MAX).map(fault => `${at(fault.pos[0])}: ${fault.message}`),
    )
  }
  const locate = ({ path, message }: ScenarioProblem): string => {
    const where = path.length === 0 ? '' : `${spoken(path)}: `
    return `${at(offsetOf(document, path))}: ${where}${message}`
  }
  let scenario: unknown
  try {
    scenario = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw new BadUsage([`${file}: ${(error as Error).message}`])
  }
  const faults = shapeProblems(scenario)
  if (faults.length > 0) throw new BadUsage(faults.slice(0, FAULTS_MAX).map(locate))
  return { file: basename(file), scenario: scenario as Scenario, locate }
}

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

/** The key where there is one, else the value, else what holds it. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const parent = document.getIn(path.slice(0, length - 1), true) as { items?: unknown[] } | undefined
    const last = path[length - 1]
    const pair = parent?.items?.find(item => isPair(item) && String(item.key) === String(last))
    const key = isPair(pair) ? (pair.key as { range?: [number] } | null) : null
    const node = document.getIn(path.slice(0, length), true) as { range?: [number] } | undefined
    const range = key?.range ?? node?.range
    if (range) return range[0]
  }
  return 0
}

function spoken(path: Path): string {
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index ? '.' : ''}${key}`))
    .join('')
}
