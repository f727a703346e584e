// Builds the console where it is not what its sources say: at install, at start and before tests. Quick where it is.
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const here = import.meta.dirname
const dist = join(here, 'dist')
const turn = join(here, 'dist-turn')
/** The hash of the sources, beside what was made of them. */
const STAMP = 'built-from'
const TURN_MS_MAX = 60_000

/** Gives whether it had to build. Two at once wait for each other, and the second finds it done. */
export async function buildConsole(): Promise<boolean> {
  const sources = hashOfSources()
  if (isBuiltFrom(sources)) return false
  await takeTurn()
  const folder = mkdtempSync(join(here, 'dist-'))
  try {
    if (isBuiltFrom(sources)) return false
    const { build } = await import('vite')
    await build({ configFile: join(here, 'vite.config.ts'), logLevel: 'warn', build: { outDir: folder } })
    writeFileSync(join(folder, 'licenses.txt'), licenses())
    writeFileSync(join(folder, STAMP), sources)
    // A temporary folder is for its maker alone; what it holds is for everybody.
    chmodSync(folder, 0o755)
    rmSync(dist, { recursive: true, force: true })
    renameSync(folder, dist)
    return true
  } finally {
    rmSync(folder, { recursive: true, force: true })
    rmSync(turn, { recursive: true, force: true })
  }
}

function isBuiltFrom(sources: string): boolean {
  const stamp = join(dist, STAMP)
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === sources
}

/** One that was killed leaves its turn behind; nobody builds for a minute. */
async function takeTurn(): Promise<void> {
  for (;;) {
    try {
      mkdirSync(turn)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const begun = statSync(turn, { throwIfNoEntry: false })?.mtimeMs
    if (begun !== undefined && Date.now() - begun > TURN_MS_MAX)
      rmSync(turn, { recursive: true, force: true })
    else await setTimeout(50)
  }
}

/** Of what is handed out with the pages: their authors ask for it. */
function licenses(): string {
  const shipped = ['react', 'react-dom', 'scheduler', 'uqr']
  return shipped
    .map(name => `${name}\n\n${readFileSync(join(here, '../node_modules', name, 'LICENSE'), 'utf8')}`)
    .join(`\n${'-'.repeat(80)}\n\n`)
}

/** Of all that ends up in the pages: the console's own files, and the pure ones that it shares. */
function hashOfSources(): string {
  const paths = globSync(
    ['console/**/*.{ts,tsx,css,html,svg,json}', 'policy/*.ts', 'client/*.ts', 'db/reason.ts'],
    {
      cwd: join(here, '..'),
      exclude: path => /^dist(-|$)/.test(path),
    },
  )
  const hash = createHash('sha256')
  for (const path of paths.filter(path => !/^console\/dist/.test(path)).sort())
    hash
      .update(path)
      .update('\0')
      .update(readFileSync(join(here, '..', path)))
      .update('\0')
  return hash.digest('hex')
}

if (import.meta.main) {
  try {
    if (await buildConsole()) process.stderr.write('built the console\n')
  } catch (error) {
    // The services run without it, and the page in its place says how to build it.
    const missing = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND'
    process.stderr.write(
      missing
        ? 'the console was not built: vite is not installed (npm ci installs it)\n'
        : `the console was not built: ${error instanceof Error ? error.message : error}\n`,
    )
    if (!missing) process.exitCode = 1
  }
}
