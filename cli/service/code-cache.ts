// Compiled code of the last start, in the data directory: with it a start compiles next to nothing. It lies where no other user can write,
// for a writer could have his own run; and not on a disk that the record may soon need.
import { existsSync, lstatSync, statfsSync, statSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { join, resolve } from 'node:path'
import { assertNotOpen } from '../../db/directory-access.ts'

const NEEDS_FREE_BYTES = 256 * 1024 * 1024

function codeCacheIn(data: string): string {
  return join(data, 'code-cache')
}

/** What has a service of this data directory, which was found not to be open to others, keep its compiled code. */
export function codeCacheVariable(data: string): NodeJS.ProcessEnv {
  return process.env['NODE_COMPILE_CACHE'] === undefined && isOurs(data) && hasRoom(data)
    ? { NODE_COMPILE_CACHE: resolve(codeCacheIn(data)) }
    : {}
}

/**
 * Has this process itself take what an earlier one left in the data directory that its arguments name. Does nothing where there is no
 * cache yet, where others own or may write the directory, or where the arguments are not understood: that they are read in full comes later.
 */
export function useCodeCache(args: readonly string[]): void {
  const data = dataDirectoryIn(args)
  if (data === null) return
  const cache = resolve(codeCacheIn(data))
  try {
    if (!existsSync(cache) || !isOurs(data) || !hasRoom(data)) return
    assertNotOpen(data)
    assertNotOpen(cache)
    enableCompileCache(cache)
  } catch {
    // A start without it is slower, and says itself what is wrong with the directory.
  }
}

/** Null where it is not named exactly once. */
function dataDirectoryIn(args: readonly string[]): string | null {
  const named = args.flatMap((arg, at) =>
    arg === '--data' ? [args[at + 1] ?? ''] : arg.startsWith('--data=') ? [arg.slice('--data='.length)] : [],
  )
  return named.length === 1 && named[0] !== '' ? named[0]! : null
}

/**
 * An owner writes whatever the mode is: root, started on the directory of a service's user, runs no code of that user. The directory itself
 * may be root's, as a volume's is.
 */
function isOurs(data: string): boolean {
  const user = process.geteuid?.()
  if (user === undefined) return true
  if (![user, 0].includes(statSync(data).uid)) return false
  const cache = lstatSync(codeCacheIn(data), { throwIfNoEntry: false })
  return cache === undefined || (cache.isDirectory() && cache.uid === user)
}

function hasRoom(data: string): boolean {
  const { bavail, bsize } = statfsSync(data)
  return bavail * bsize >= NEEDS_FREE_BYTES
}
