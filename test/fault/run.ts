// `npm run faults`: every fault of the table, at length, a row printed for each. `--short` as within `npm test`, `--only ROW`
// one of them (repeatable), `--json FILE` also writes what was found. Ends with 1 where a row did not pass.
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { parseArgs } from 'node:util'
import { faults, type Row } from './table.ts'

type Verdict = 'passed' | 'FAILED' | 'not run'
type Result = {
  row: string
  fault: string
  verdict: Verdict
  seconds: number
  figures: string[]
  why: string[]
}

const TIMEOUT_MS = 45 * 60_000
/** What the test runner says of itself, beside what a test says. */
const COUNTS = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    short: { type: 'boolean', default: false },
    json: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const unknown = values.only.filter(name => !faults.some(({ row }) => row === name))
if (unknown.length > 0) {
  process.stderr.write(
    `no such row: ${unknown.join(', ')}\nrows: ${faults.map(({ row }) => row).join(', ')}\n`,
  )
  process.exit(2)
}
const chosen = faults.filter(({ row }) => values.only.length === 0 || values.only.includes(row))
if (values.list) {
  for (const { row, fault } of chosen) process.stdout.write(`${row.padEnd(18)} ${fault}\n`)
  process.exit(0)
}

if (!values.short) process.env['ROLLCALL_FAULTS'] = 'long'
const results: Result[] = []
for (const [index, row] of chosen.entries()) {
  if (process.stderr.isTTY) process.stderr.write(`${index + 1} of ${chosen.length}: ${row.row} …\r`)
  const result = await tryRow(row)
  results.push(result)
  print(result)
}
const passed = results.filter(({ verdict }) => verdict === 'passed').length
process.stdout.write(`\n${passed} of ${results.length} rows passed\n`)
if (values.json !== undefined) {
  const machine = { node: process.version, kernel: release(), cores: cpus().length }
  const length = values.short ? 'short' : 'long'
  writeFileSync(values.json, `${JSON.stringify({ at: new Date(), length, machine, results }, null, 2)}\n`)
}
process.exit(passed === results.length ? 0 : 1)

async function tryRow({ row, fault, tests }: Row): Promise<Result> {
  const began = performance.now()
  const figures: string[] = []
  const why: string[] = []
  let passes = 0
  let skips = 0
  for (const { file, names } of tests) {
    const before = passes + skips + why.length
    const stream = run({
      files: [join(import.meta.dirname, '..', file)],
      concurrency: 1,
      timeout: TIMEOUT_MS,
      ...(names === undefined ? {} : { testNamePatterns: names.map(name => new RegExp(escaped(name))) }),
    })
    for await (const { type, data } of stream) {
      if (type === 'test:diagnostic' && !COUNTS.test(data.message)) figures.push(data.message)
      if ((type !== 'test:pass' && type !== 'test:fail') || data.details.type === 'suite') continue
      if (data.name.endsWith(file)) continue // the file as a whole
      if (type === 'test:fail') why.push(`${data.name}: ${messageOf(data.details.error)}`)
      else if (data.skip !== undefined) {
        skips += 1
        figures.push(`${data.name}: ${data.skip === true ? 'skipped' : data.skip}`)
      } else passes += 1
    }
    if (passes + skips + why.length === before) why.push(`${file}: nothing of it ran`)
  }
  const verdict: Verdict = why.length > 0 ? 'FAILED' : skips > 0 ? 'not run' : 'passed'
  return { row, fault, verdict, seconds: Math.round((performance.now() - began) / 100) / 10, figures, why }
}

function print({ row, fault, verdict, seconds, figures, why }: Result): void {
  const lines = [...why.map(reason => `FAILED: ${reason}`), ...figures]
  process.stdout.write(`${verdict.padEnd(7)}  ${row.padEnd(16)}  ${fault} (${seconds} s)\n`)
  for (const line of lines) process.stdout.write(`${' '.repeat(27)}${line.replaceAll('\n', ' ')}\n`)
}

function messageOf(error: Error & { cause?: unknown }): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
