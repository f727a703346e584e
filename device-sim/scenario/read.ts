// YAML text in, a scenario out, or every problem with its line and the expected value.
// Does not know what a scenario means beyond its shape: plan.ts checks the rest with the same positions.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { type Document, isPair, LineCounter, parseDocument } from 'yaml'
import { BadUsage } from '../failure.ts'
import type { Scenario } from './schema.ts'
import { type Path, type ScenarioProblem, shapeProblems } from './shape.ts'

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
