// Builds the package rollcall-sim into a folder: the simulator and the packages it uses in a few files, with their licenses,
// and nothing to install beside it. `npm run build:sim`.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'vite'
import { licensesOf, packageOf } from './licenses.ts'

const here = import.meta.dirname
const simulator = join(here, '..')
const repository = join(simulator, '..')

/** @returns the packages that went in. */
export async function buildPackage(into: string): Promise<string[]> {
  rmSync(into, { recursive: true, force: true })
  mkdirSync(into, { recursive: true })
  const packages = new Set<string>()
  await build({
    configFile: false,
    root: repository,
    logLevel: 'error',
    ssr: { noExternal: true },
    build: {
      ssr: true,
      target: 'node22',
      minify: true,
      outDir: join(into, 'dist'),
      rollupOptions: {
        input: {
          main: join(here, 'main.ts'),
          ...Object.fromEntries(
            ['workers/worker', 'workers/runtime-trial-device'].map(name => [
              name,
              join(simulator, `${name}.ts`),
            ]),
          ),
        },
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name].js' },
      },
    },
    plugins: [
      {
        name: 'packages',
        generateBundle(_options, bundle) {
          for (const chunk of Object.values(bundle)) {
            if (chunk.type !== 'chunk') continue
            for (const id of Object.keys(chunk.modules)) {
              const name = packageOf(id)
              if (name !== null) packages.add(name)
            }
          }
        },
      },
    ],
  })
  const copied: [from: string, to: string][] = [
    [join(simulator, 'presets'), 'dist/presets'],
    [join(simulator, 'output/report/draw.js'), 'dist/output/report/draw.js'],
    [join(simulator, 'output/report/page.css'), 'dist/output/report/page.css'],
    ...['LICENSE', 'dist/uPlot.iife.min.js', 'dist/uPlot.min.css'].map((file): [string, string] => [
      join(repository, 'node_modules/uplot', file),
      `dist/uplot/${file.replace('dist/', '')}`.replace('uplot/LICENSE', 'LICENSE'),
    ]),
    [join(here, 'README.md'), 'README.md'],
    [join(repository, 'docs/simulator.md'), 'manual.md'],
    [join(repository, 'LICENSE'), 'LICENSE'],
  ]
  for (const [from, to] of copied) cpSync(from, join(into, to), { recursive: true })
  const manifest = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'))
  const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'))
  writeFileSync(join(into, 'package.json'), `${JSON.stringify({ ...manifest, version }, null, 2)}\n`)
  const names = [...packages].sort()
  writeFileSync(join(into, 'dist/licenses.txt'), licensesOf(join(repository, 'node_modules'), names))
  return names
}

/** What is in the folder is removed first: why it is not to be; null where it is. */
function refusal(into: string, more: readonly string[]): string | null {
  if (more.length > 0 || into.startsWith('-') || into === '')
    return 'usage: npm run build:sim -- [FOLDER]    (release/rollcall-sim by default)'
  if (!existsSync(into) || readdirSync(into).length === 0) return null
  const manifest = join(into, 'package.json')
  const isOwn =
    existsSync(manifest) &&
    existsSync(join(into, 'dist/licenses.txt')) &&
    JSON.parse(readFileSync(manifest, 'utf8')).name === 'rollcall-sim'
  return isOwn ? null : `${into} holds something else than an earlier build: name an empty folder, or none`
}

if (import.meta.main) {
  const [into = join(repository, 'release/rollcall-sim'), ...more] = process.argv.slice(2)
  const refused = refusal(into, more)
  if (refused === null) {
    const packages = await buildPackage(into)
    process.stderr.write(`${into}: ${packages.length} packages bundled\n`)
  } else {
    process.stderr.write(`${refused}\n`)
    process.exitCode = into === '--help' ? 0 : 2
  }
}
