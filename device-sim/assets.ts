// The files that are read or started beside the code, wherever the code lies: in a clone, in the package rollcall, and in
// the bundle of rollcall-sim, whose main file lies where this one does. Knows nothing of what is in them.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const folder = dirname(fileURLToPath(import.meta.url))

/** A file or folder of `device-sim/`, by its path from there. */
export function assetFile(path: string): string {
  return join(folder, path)
}

/** A script of ours that runs in a process of its own: `workers/worker`, without its extension. */
export function scriptFile(path: string): string {
  return assetFile(`${path}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`)
}

/** A file of uPlot's `dist/`: the bundle has a copy, the others have the package. */
export function uplotFile(name: string): string {
  const bundled = assetFile(join('uplot', name))
  if (existsSync(bundled)) return bundled
  return join(dirname(createRequire(import.meta.url).resolve('uplot')), name)
}
