// A copy of this tree to build packages in, so that a build writes nothing into the tree that other tests read.
import { cpSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../cli/running.ts'

const never = new Set(['.git', '.ci', 'node_modules', 'dist', 'data', 'devices', 'fleet', 'bench', 'test'])

/** Copies what packages are made of into `directory`, beside a link to the packages that are installed here. */
export function copySourceTree(directory: string): void {
  cpSync(repository, directory, {
    recursive: true,
    filter: path => !never.has(path.slice(repository.length).split('/')[0] ?? ''),
  })
  symlinkSync(join(repository, 'node_modules'), join(directory, 'node_modules'))
}

/** For `npm run build`: the same files in a third of the time, without the check of types that `npm run check` is. */
export const quickBuild = { BUILD_FLAGS: '--noCheck' }
