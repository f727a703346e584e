// Puts what `tsc` made in dist/ together into few files, with the packages that it uses, in the places of the entries: most of a start
// was finding and loading thousands of files. Part of `npm run build`.
import { realpathSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build, type Plugin } from 'vite'
import { licensesOf, packageOf } from '../../device-sim/package/licenses.ts'

const repository = join(import.meta.dirname, '../..')

/** What is run as a file: the command, and each process and thread that it starts, by its path in dist/ without extension. */
const entries = [
  'cli/main',
  'broker/gate/runtime-check',
  'broker/gate-workers/worker',
  'db/integrity-process',
  'provisioning/policies/fleet-trial-process',
  'provisioning/x509/csr-worker',
]

/** Packages that stay files: one is native code, the other serves files that lie beside its own. */
const notBundled = ['better-sqlite3', '@fastify/swagger-ui']

/** Bundles the entries in `dist` in place; all other files stay as they are. Gives the packages that went in. */
export async function bundleEntries(dist: string): Promise<string[]> {
  const packages = new Set<string>()
  await build({
    configFile: false,
    root: repository,
    logLevel: 'error',
    ssr: { noExternal: true, external: notBundled },
    build: {
      ssr: true,
      target: 'esnext',
      minify: false,
      outDir: dist,
      emptyOutDir: false,
      rolldownOptions: {
        input: Object.fromEntries(entries.map(name => [name, join(dist, `${name}.js`)])),
        output: { format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
      },
    },
    plugins: [
      ownPlaces(dist),
      reflectFirst,
      {
        name: 'packages',
        generateBundle(_options, bundle) {
          for (const chunk of Object.values(bundle))
            for (const id of chunk.type === 'chunk' ? Object.keys(chunk.modules) : []) {
              const name = packageOf(id)
              if (name !== null) packages.add(name)
            }
        },
      },
    ],
  })
  const names = [...packages].sort()
  writeFileSync(join(dist, 'licenses.txt'), licensesOf(join(repository, 'node_modules'), names))
  return names
}

/** A module finds the files beside it by `import.meta.url`: it is told where it lay, not where the bundle lies that it went into. */
function ownPlaces(dist: string): Plugin {
  const mark = (path: string) => `__placeOf__(${JSON.stringify(path)})`
  return {
    name: 'own places',
    transform(code, id) {
      if (!id.startsWith(`${dist}/`) || !code.includes('import.meta')) return null
      const replaced = code.replaceAll('import.meta.url', mark(relative(dist, id)))
      if (replaced.includes('import.meta'))
        throw new Error(`${id}: of import.meta only url is known to the bundle`)
      return { code: replaced, map: null }
    },
    renderChunk(code, { fileName }) {
      if (!code.includes('__placeOf__(')) return null
      const placed = code.replaceAll(/__placeOf__\("([^"]+)"\)/g, (_, path: string) => {
        const from = relative(join('/', fileName, '..'), join('/', path))
        return `new URL(${JSON.stringify(from)}, import.meta.url).href`
      })
      return { code: placed, map: null }
    },
  }
}

/** tsyringe, of @peculiar/x509, wants this polyfill loaded before it, and a bundle may put it behind. */
const reflectFirst: Plugin = {
  name: 'reflect first',
  transform: (code, id) =>
    /\/node_modules\/tsyringe\/dist\/[^/]+\/index\.js$/.test(id)
      ? { code: `import 'reflect-metadata'\n${code}`, map: null }
      : null,
}

if (import.meta.main) {
  if (process.argv.length > 2) {
    process.stderr.write('usage: npm run build    (into dist/)\n')
    process.exitCode = 2
  } else {
    const dist = realpathSync(join(repository, 'dist'))
    const packages = await bundleEntries(dist)
    process.stderr.write(`${dist}: ${packages.length} packages bundled\n`)
  }
}
