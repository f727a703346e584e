// npm test: every test file that this machine can run, those that take long first. One that needs a program which is not installed
// is left out, and said aloud at the end; under CI nothing is left out. `--test-name-pattern=TEXT` runs some of the tests.
import {
  accessSync,
  chmodSync,
  constants,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, matchesGlob, relative } from 'node:path'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { debianPackages, npmPackages, toolUsers } from './tools.ts'

const root = join(import.meta.dirname, '..')
/** Folders in which a file takes tens of seconds: begun last, one of them would run on alone. */
const long = ['fault', 'fuzz', 'on-bun', 'packaging', 'console', 'e2e', 'device-sim', 'race', 'interop']
const files = globSync('test/**/*.test.ts', { cwd: root })
  .toSorted()
  .sort((a, b) => turnOf(a) - turnOf(b))
const leftOut = new Map(
  files.map(file => [file, missingFor(file)] as const).filter(([, missing]) => missing.length > 0),
)
const ci = process.env['CI'] === 'true'
const chosen = ci ? files : files.filter(file => !leftOut.has(file))
const { values } = parseArgs({ options: { 'test-name-pattern': { type: 'string', multiple: true } } })

// A test that hangs fails; the slowest takes a minute on a busy machine.
const TEST_TIMEOUT_MS = 300_000
/** One more than CI has cores: tests wait for servers, timers and each other, too. */
const CONCURRENCY = 3
const SLOWEST = 15
/** Many times what tests have on disk at once. */
const ROOM_BYTES = 4 * 1_024 ** 3

// Hundreds of processes load the same code: the first of them compiles it.
const code = mkdtempSync(join(tmpdir(), 'rollcall-code-'))
// Tests make registries by the thousand, and SQLite waits for the disk with each change: in memory there is nothing to wait for.
const memory = roomInMemory()
process.once('exit', () => {
  for (const made of [code, memory]) if (made !== null) rmSync(made, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const env = {
  // For tests of the disk itself.
  TEST_DISK: tmpdir(),
  // Made by the first test with a PostgreSQL, copied by the others.
  TEST_POSTGRES: join(memory ?? code, 'postgres'),
  NODE_COMPILE_CACHE: code,
  ...process.env,
  ...(memory === null ? {} : { TMPDIR: memory }),
}

const tests = run({
  cwd: root,
  files: chosen.map(file => join(root, file)),
  concurrency: CONCURRENCY,
  timeout: TEST_TIMEOUT_MS,
  execArgv: [`--import=${pathToFileURL(join(import.meta.dirname, 'deadline.ts'))}`],
  env,
  ...(values['test-name-pattern'] && { testNamePatterns: values['test-name-pattern'] }),
})
let passed = false
const took: [file: string, ms: number][] = []
tests.on('test:summary', ({ file, success }) => {
  if (file === undefined) passed = success
})
tests.on('test:complete', ({ name, details }) => {
  const file = relative(root, name)
  if (chosen.includes(file)) took.push([file, details.duration_ms])
})
const report = tests.compose(new spec())
report.pipe(process.stdout)
await finished(report)

process.stdout.write('\nslowest files, in seconds\n')
for (const [file, ms] of took.toSorted((a, b) => b[1] - a[1]).slice(0, SLOWEST))
  process.stdout.write(`${(ms / 1_000).toFixed(1).padStart(6)}  ${file}\n`)
const seconds = took.reduce((sum, [, ms]) => sum + ms, 0) / 1_000
process.stdout.write(
  `${seconds.toFixed(0).padStart(6)}  all ${took.length} files, ${CONCURRENCY} at a time\n`,
)

if (leftOut.size > 0) {
  const missing = [...new Set([...leftOut.values()].flat())]
  const packagesIn = (known: Record<string, string>) => [
    ...new Set(missing.flatMap(tool => known[tool] ?? [])),
  ]
  const ways = [
    ['Debian: apt-get install', packagesIn(debianPackages)],
    ['npm install --no-save', packagesIn(npmPackages)],
  ] as const
  const packages = ways.flatMap(([way, names]) => (names.length === 0 ? [] : `${way} ${names.join(' ')}`))
  const what = ci
    ? `${leftOut.size} files need`
    : `${leftOut.size} of ${files.length} test files were not run: they need`
  process.stderr.write(`\n${what} ${missing.join(', ')} (${packages.join('; ')})\n`)
}
process.exitCode = passed ? 0 : 1

function missingFor(file: string): string[] {
  const path = relative('test', file)
  const needed = Object.entries(toolUsers).flatMap(([glob, tools]) => (matchesGlob(path, glob) ? tools : []))
  return [...new Set(needed)].filter(tool => !isInstalled(tool))
}

function isInstalled(tool: string): boolean {
  // Debian keeps mosquitto where only root looks for programs; npm keeps programs of packages here.
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', join(root, 'node_modules/.bin')].some(
    folder => {
      try {
        accessSync(join(folder, tool), constants.X_OK)
        return true
      } catch {
        return false
      }
    },
  )
}

/** Files of the same turn keep the order of their names. */
function turnOf(file: string): number {
  const at = long.indexOf(relative('test', file).split('/')[0] ?? '')
  return at === -1 ? long.length : at
}

/** A directory of a file system in memory that has room and runs programs; null where there is none. */
function roomInMemory(): string | null {
  const at = '/dev/shm'
  try {
    const [, , , options = ''] =
      readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .map(line => line.split(' '))
        .findLast(([, where, type]) => where === at && type === 'tmpfs') ?? []
    const { bavail, bsize } = statfsSync(at)
    if (options === '' || options.split(',').includes('noexec') || bavail * bsize < ROOM_BYTES) return null
    const directory = mkdtempSync(join(at, 'rollcall-tests-'))
    // PostgreSQL, which refuses to run as root, passes through it to a directory of its own.
    chmodSync(directory, 0o711)
    return directory
  } catch {
    return null
  }
}
