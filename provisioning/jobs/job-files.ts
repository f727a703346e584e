// The files of import jobs: validated rows, and results as they come. One directory for each job, 0700 and 0600.
// Knows no registry; a directory whose job is not on record is the rest of an upload that was cut off.

import { createReadStream, existsSync, mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '../http/problem.ts'
import { jobProblems } from './job-problems.ts'

export type JobFiles = {
  /** Makes the directory of a new job. */
  make(id: string): void
  remove(id: string): void
  /** Whether the job was uploaded to this data directory. */
  has(id: string): boolean
  /** Removes what belongs to no job. */
  removeUnknown(known: (id: string) => boolean): void
  writeRows(id: string): Promise<FileHandle>
  /** Lines from this offset on, with the offset behind each. */
  readRows(id: string, offset: number): AsyncGenerator<{ text: string; end: number }>
  /** Opened for more, cut to what was noted. */
  writeResults(id: string, bytes: number): Promise<FileHandle>
  /** Lines of the first so many bytes. */
  readResults(id: string, bytes: number): AsyncGenerator<string>
  /** Throws `disk_short` where less than what must stay free is. */
  assertRoom(): void
}

/** The registry must never run out of room because of an upload. */
const FREE_BYTES_MIN = 256 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024

export function createJobFiles(directory: string): JobFiles {
  const folder = (id: string) => join(directory, id)
  const rows = (id: string) => join(directory, id, 'rows.ndjson')
  const results = (id: string) => join(directory, id, 'results.ndjson')
  mkdirSync(directory, { recursive: true, mode: 0o700 })

  return {
    make: id => void mkdirSync(folder(id), { mode: 0o700 }),
    has: id => existsSync(folder(id)),
    remove: id => rmSync(folder(id), { recursive: true, force: true }),
    removeUnknown(known) {
      for (const id of readdirSync(directory))
        if (!known(id)) rmSync(folder(id), { recursive: true, force: true })
    },
    writeRows: id => open(rows(id), 'wx', 0o600),
    async *readRows(id, offset) {
      let end = offset
      for await (const text of linesOf(rows(id), offset, Number.POSITIVE_INFINITY)) {
        end += Buffer.byteLength(text) + 1
        yield { text, end }
      }
    },
    async writeResults(id, bytes) {
      const handle = await open(results(id), 'a', 0o600)
      await handle.truncate(bytes)
      return handle
    },
    readResults: (id, bytes) => linesOf(results(id), 0, bytes),
    assertRoom() {
      const { bavail, bsize } = statfsSync(directory)
      if (bavail * bsize < FREE_BYTES_MIN)
        throw new Problem(jobProblems, 'disk_short', `less than ${FREE_BYTES_MIN / 2 ** 20} MiB are free`)
    },
  }
}

/** Split at line feeds alone: readline would also split inside of a text that holds U+2028. */
async function* linesOf(file: string, start: number, bytes: number): AsyncGenerator<string> {
  if (bytes <= 0) return
  let rest: Buffer[] = []
  for await (const chunk of createReadStream(file, {
    start,
    end: start + bytes - 1,
    highWaterMark: CHUNK_BYTES,
  })) {
    let from = 0
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      yield Buffer.concat([...rest, chunk.subarray(from, end)]).toString('utf8')
      rest = []
      from = end + 1
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
}
