// npm test: every test file that this machine can run. One that needs a program which is not installed is left out,
// and said aloud at the end; under CI nothing is left out.
import { spawnSync } from 'node:child_process'
import { accessSync, constants, globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, matchesGlob, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { debianPackages, toolUsers } from './tools.ts'

const root = join(import.meta.dirname, '..')
const files = globSync('test/**/*.test.ts', { cwd: root }).toSorted()
const leftOut = new Map(
  files.map(file => [file, missingFor(file)] as const).filter(([, missing]) => missing.length > 0),
)
const ci = process.env['CI'] === 'true'
const chosen = ci ? files : files.filter(file => !leftOut.has(file))

// A test that hangs fails; the slowest takes a minute on a busy machine.
const TEST_TIMEOUT_MS = 300_000
const args = [
  '--test',
  `--import=${pathToFileURL(join(import.meta.dirname, 'deadline.ts'))}`,
  `--test-timeout=${TEST_TIMEOUT_MS}`,
  '--test-concurrency=2',
  ...process.argv.slice(2),
  ...chosen,
]
// Hundreds of processes load the same code: the first of them compiles it.
const code = mkdtempSync(join(tmpdir(), 'rollcall-code-'))
const env = { NODE_COMPILE_CACHE: code, ...process.env }
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env })
rmSync(code, { recursive: true, force: true })

if (leftOut.size > 0) {
  const missing = [...new Set([...leftOut.values()].flat())]
  const packages = [...new Set(missing.map(tool => debianPackages[tool]))].join(' ')
  const what = ci
    ? `${leftOut.size} files need`
    : `${leftOut.size} of ${files.length} test files were not run: they need`
  process.stderr.write(`\n${what} ${missing.join(', ')} (Debian: apt-get install ${packages})\n`)
}
process.exit(status ?? 1)

function missingFor(file: string): string[] {
  const path = relative('test', file)
  const needed = Object.entries(toolUsers).flatMap(([glob, tools]) => (matchesGlob(path, glob) ? tools : []))
  return [...new Set(needed)].filter(tool => !isInstalled(tool))
}

function isInstalled(tool: string): boolean {
  // Debian keeps mosquitto where only root looks for programs.
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'].some(folder => {
    try {
      accessSync(join(folder, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
