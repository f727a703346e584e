// The files that a run writes. Checks before the run whether they can be written. A whole file is renamed into place, so that no
// reader sees a half written one. Does not know their contents.
import { accessSync, constants, createWriteStream, statSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { BadUsage } from '../failure.ts'

type LineFile<Value> = {
  line(value: Value): void
  /** @throws Error where a part could not be written. */
  end(): Promise<void>
}

/** Lines that may wait for a slow disk; further lines are dropped, and `end` reports it. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024

/** @throws BadUsage with every file that cannot be written, by flag. */
export function requireWritable(files: Readonly<Record<string, string | undefined>>): void {
  const problems: string[] = []
  const taken = new Map<string, string>()
  for (const [flag, file] of Object.entries(files)) {
    if (file === undefined) continue
    const path = resolve(file)
    const other = taken.get(path)
    if (other !== undefined) problems.push(`${flag} and ${other} name the same file ${file}`)
    taken.set(path, flag)
    const fault = faultOf(path)
    if (fault !== null) problems.push(`${flag}: ${file} cannot be written (${fault})`)
  }
  if (problems.length > 0) throw new BadUsage(problems)
}

export async function writeWhole(file: string, text: string): Promise<void> {
  const partial = `${file}.partial`
  try {
    await writeFile(partial, text)
    await rename(partial, file)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

/** A line for each value as soon as it is known, so that it can be followed: NDJSON, or as `text` makes it after `head`. */
export function createLineFile<Value>(
  file: string,
  text: (value: Value) => string = JSON.stringify,
  head?: string,
): LineFile<Value> {
  const stream = createWriteStream(file)
  if (head !== undefined) stream.write(`${head}\n`)
  let fault: Error | null = null
  stream.on('error', error => {
    fault ??= error
  })
  return {
    line(value) {
      if (fault) return
      if (stream.writableLength > BACKLOG_BYTES_MAX) fault = new Error('the disk is too slow')
      else stream.write(`${text(value)}\n`)
    },
    end: () =>
      new Promise((settle, reject) => {
        stream.once('close', () => (fault ? reject(fault) : settle()))
        if (stream.closed) stream.emit('close')
        else stream.end()
      }),
  }
}

function faultOf(path: string): string | null {
  const known = statSync(path, { throwIfNoEntry: false })
  if (known?.isDirectory()) return 'it is a directory'
  try {
    if (known) accessSync(path, constants.W_OK)
    // A device such as /dev/stdout cannot be put in its place in one step.
    if (known && !known.isFile()) return 'it is no ordinary file'
    accessSync(dirname(path), constants.W_OK)
    return null
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? 'its directory does not exist'
      : 'no permission'
  }
}
