// Builds the console where it is not what its sources say: at install, at start and before tests. Quick where it is.
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

const here = import.meta.dirname
const dist = join(here, 'dist')
const stamp = join(dist, 'built-from.txt')

/** Gives whether it had to build. Safe beside another that builds: the finished folder takes its place at once. */
export async function buildConsole(): Promise<boolean> {
  const sources = hashOfSources()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return false
  const { build } = await import('vite')
  const folder = mkdtempSync(join(here, 'dist-'))
  try {
    await build({ configFile: join(here, 'vite.config.ts'), logLevel: 'warn', build: { outDir: folder } })
    writeFileSync(join(folder, 'built-from.txt'), sources)
    // A temporary folder is for its maker alone; what it holds is for everybody.
    chmodSync(folder, 0o755)
    rmSync(dist, { recursive: true, force: true })
    try {
      renameSync(folder, dist)
    } catch {
      // Somebody else built the same meanwhile.
      cpSync(folder, dist, { recursive: true })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return true
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
