// How much room the record takes, and how much is left for it. Asks the file system alone.
import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Bytes of a SQLite file and of its write-ahead log; 0 where there is none. */
export function storeBytes(file: string): { main: number; log: number } {
  const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0
  return { main: size(file), log: size(`${file}-wal`) }
}

/** Bytes that this user may still write beside this file. */
export function freeBytes(file: string): number {
  const { bavail, bsize } = statfsSync(dirname(file))
  return bavail * bsize
}
