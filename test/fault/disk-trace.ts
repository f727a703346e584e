// What the kernel was asked to write, and when it was told to make it last (strace): from it, the disk as a loss of power at any
// moment leaves it. What no completed fsync covers is lost, wholly or in part.
import { createReadStream, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** A write of bytes, or a new length (`bytes` null). Times in seconds since the epoch, as strace has them. */
type Change = { from: number; until: number; at: number; bytes: Buffer | null }
type Flush = { from: number; until: number }
type Trace = { changes: Change[]; flushes: Flush[] }

export type DiskTrace = {
  /** Lays these files into a directory as they were on disk at a moment; gives how many writes were lost. */
  lay(directory: string, atMs: number, options: { keep: () => boolean; flushed?: boolean }): number
  /** Moments at which something that was written was just being made to last: power lost then loses it. */
  amidFlushes(): number[]
}

const CALLS = 'trace=pwrite64,pwritev,write,writev,ftruncate,fdatasync,fsync'

/** The command that records a service and all it starts; the service keeps its process ID. */
export function recording(trace: string, files: readonly string[]): string[] {
  const shown = [
    '-D',
    '-f',
    '-y',
    '-ttt',
    '-T',
    '-xx',
    '-s',
    '70000',
    '-e',
    CALLS,
    '-e',
    'signal=none',
    '-qq',
  ]
  return ['strace', ...shown, ...files.flatMap(file => ['-P', file]), '-o', trace]
}

/** Reads a recording. `before` is what each file held when it began. */
export async function readTrace(file: string, before: ReadonlyMap<string, Buffer>): Promise<DiskTrace> {
  const traces = new Map([...before.keys()].map(path => [path, { changes: [], flushes: [] } as Trace]))
  const unfinished = new Map<string, { from: number; text: string }>()
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [, pid = '', time = '', rest = ''] = /^(\d+) +([\d.]+) (.*)$/.exec(line) ?? []
    const at = Number(time)
    if (rest.endsWith('<unfinished ...>')) {
      unfinished.set(pid, { from: at, text: rest.slice(0, -' <unfinished ...>'.length) })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const begun = unfinished.get(pid)
    const [, took = '0'] = /<([\d.]+)>$/.exec(rest) ?? []
    if (resumed === null) note(traces, rest, at, at + Number(took))
    else if (begun !== undefined) note(traces, begun.text + resumed[1], begun.from, at)
  }
  return {
    lay(directory, atMs, { keep, flushed = true }) {
      mkdirSync(directory, { recursive: true })
      let lost = 0
      for (const [path, trace] of traces) {
        const left = imageAt(before.get(path)!, trace, atMs / 1_000, keep, flushed)
        lost += left.lost
        if (left.image.length > 0) writeFileSync(join(directory, path.split('/').at(-1)!), left.image)
      }
      return lost
    },
    amidFlushes: () => [...traces.values()].flatMap(amidFlushes).sort((one, other) => one - other),
  }
}

function amidFlushes({ changes, flushes }: Trace): number[] {
  const changed = (after: number, before: number) =>
    changes.some(({ until }) => until > after && until <= before)
  return flushes
    .filter(({ from }, index) => changed(flushes[index - 1]?.from ?? 0, from))
    .map(({ from, until }) => ((from + until) / 2) * 1_000)
}

function note(traces: ReadonlyMap<string, Trace>, text: string, from: number, until: number): void {
  const call = /^(\w+)\(\d+<([^>]*)>(.*)\) += (-?\d+)/s.exec(text)
  if (call === null) return
  const [, name = '', shown = '', rest = '', result = ''] = call
  const path = bytesOf(shown).toString()
  const trace = traces.get(path)
  if (trace === undefined || Number(result) < 0) return
  if (name === 'fdatasync' || name === 'fsync') trace.flushes.push({ from, until })
  else if (name === 'ftruncate')
    trace.changes.push({ from, until, at: Number(rest.replace(', ', '')), bytes: null })
  else if (name === 'pwrite64') {
    const [, hex = '', length = '', at = ''] = /^, "([^"]*)", (\d+), (\d+)$/.exec(rest) ?? []
    const bytes = bytesOf(hex).subarray(0, Number(result))
    if (bytes.length !== Number(result) || length === '')
      throw new Error(`not wholly recorded: ${name} of ${path}`)
    trace.changes.push({ from, until, at: Number(at), bytes })
  } else throw new Error(`a way to write that is not replayed: ${name} of ${path}`)
}

/** Every byte as strace shows it, paths too. */
function bytesOf(shown: string): Buffer {
  return Buffer.from(shown.replaceAll('\\x', ''), 'hex')
}

function imageAt(
  before: Buffer,
  { changes, flushes }: Trace,
  now: number,
  keep: () => boolean,
  flushed: boolean,
) {
  // A flush covers what was written before it began, once it is over.
  const covered = flushed
    ? Math.max(0, ...flushes.filter(({ until }) => until <= now).map(({ from }) => from))
    : 0
  let image = before
  let size = before.length
  let lost = 0
  for (const { from, until, at, bytes } of changes) {
    if (from > now) break
    if (until > covered && !keep()) {
      lost += 1
      continue
    }
    const end = bytes === null ? at : at + bytes.length
    if (end > image.length)
      image = Buffer.concat([image, Buffer.alloc(Math.max(end - image.length, image.length))])
    bytes?.copy(image, at)
    if (bytes === null) image.fill(0, at)
    size = bytes === null ? at : Math.max(size, end)
  }
  return { image: image.subarray(0, size), lost }
}
