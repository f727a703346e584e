// The audit log as a file: one JSON object a line, rows with the very text that was hashed, checkpoints after their rows.
// Knows the form of the lines; refuses to know whether what they tell is true.
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { Checkpoint } from '../../db/audit/audit-checkpoint.ts'
import type { AuditBatch } from '../../db/audit/audit-verifier.ts'
import type { ChainLink } from '../../db/audit-chain.ts'

type AuditHeader = { format: 1; exportedAt: string; publicKey: string | null }
/** The last line: what the registry had counted. A file without it was cut off. */
type AuditEnd = { rows: number; checkpoints: number }

const BATCH_ROWS = 1_000
const LINE_CHARACTERS_MAX = 4 * 1024 * 1024

/** Writes a new file (0600). Removes what it wrote where it cannot finish. Gives the number of rows. */
export async function writeAuditFile(
  file: string,
  header: AuditHeader,
  batches: AsyncIterable<AuditBatch>,
  end: AuditEnd,
): Promise<{ rows: number; checkpoints: number }> {
  const handle = await open(file, 'wx', 0o600)
  try {
    const counts = { rows: 0, checkpoints: 0 }
    await handle.write(lineOf({ log: { name: 'rollcall audit', ...header } }))
    for await (const batch of batches) {
      await writeBatch(handle, batch)
      counts.rows += batch.rows.length
      counts.checkpoints += batch.checkpoints.length
    }
    await handle.write(lineOf({ end }))
    await handle.sync()
    return counts
  } catch (error) {
    await rm(file, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

async function writeBatch(handle: FileHandle, { rows, checkpoints }: AuditBatch): Promise<void> {
  let text = ''
  let next = 0
  for (const row of rows) {
    text += rowLine(row)
    for (; (checkpoints[next]?.seq ?? Number.POSITIVE_INFINITY) <= row.seq; next += 1)
      text += lineOf({ checkpoint: checkpoints[next] })
  }
  for (const checkpoint of checkpoints.slice(next)) text += lineOf({ checkpoint })
  if (text !== '') await handle.write(text)
}

function rowLine({ hash, prevHash, canonical }: ChainLink): string {
  // A registry that was tampered with may hold any text: the text must not begin a line of its own.
  const row = /[\n\r]/.test(canonical) ? JSON.stringify(canonical) : canonical
  return `{"hash":${JSON.stringify(hash)},"prevHash":${JSON.stringify(prevHash)},"row":${row}}\n`
}

function lineOf(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

type AuditFile = {
  batches: AsyncIterable<AuditBatch>
  /** Known when the batches have come to their end; null where the file was cut off. */
  end(): AuditEnd | null
}

/**
 * Reads a file in steps. A line that is no line of such a file comes as a row that cannot be true, so that the verifier
 * names its place. Throws where the file does not begin as an exported audit log.
 */
export function readAuditFile(file: string): AuditFile {
  let end: AuditEnd | null = null
  async function* batches(): AsyncGenerator<AuditBatch> {
    let rows: ChainLink[] = []
    let checkpoints: Checkpoint[] = []
    let seq = 0
    let first = true
    for await (const line of linesOf(file)) {
      if (first) assertHeader(line, file)
      else {
        const found = parsed(line, seq)
        if ('end' in found) end = found.end
        else if ('checkpoint' in found) checkpoints.push(found.checkpoint)
        else {
          if (rows.length >= BATCH_ROWS) {
            yield { rows, checkpoints }
            rows = []
            checkpoints = []
          }
          rows.push(found)
          seq = found.seq
          end = null
        }
      }
      first = false
    }
    if (first) assertHeader('', file)
    yield { rows, checkpoints }
  }
  return { batches: batches(), end: () => end }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > LINE_CHARACTERS_MAX) throw new Error('a line is longer than any row')
    yield* lines
  }
  if (rest !== '') yield rest
}

function assertHeader(line: string, file: string): void {
  const header = objectOf(line)?.['log'] as { name?: unknown; format?: unknown } | undefined
  if (header?.name !== 'rollcall audit') throw new Error(`${file} is no exported audit log`)
  if (header.format !== 1) throw new Error(`${file} has a format of a newer version`)
}

const hashAt = '{"hash":"'.length
const prevHashAt = hashAt + 64 + '","prevHash":"'.length
const rowAt = prevHashAt + 64 + '","row":'.length

function parsed(line: string, before: number): ChainLink | { checkpoint: Checkpoint } | { end: AuditEnd } {
  if (line.startsWith('{"hash":"') && line.startsWith('","row":', rowAt - 8) && line.endsWith('}')) {
    const canonical = line.slice(rowAt, -1)
    // A quote inside a JSON string has a backslash before it: this is never found in one.
    const seq = Number.parseInt(canonical.slice(canonical.lastIndexOf(',"seq":') + 7), 10)
    if (seq > 0) {
      const [hash, prevHash] = [line.slice(hashAt, hashAt + 64), line.slice(prevHashAt, prevHashAt + 64)]
      return { seq, hash, prevHash, canonical }
    }
  }
  const object = objectOf(line)
  if (isObject(object?.['checkpoint'])) return { checkpoint: object['checkpoint'] as Checkpoint }
  if (isObject(object?.['end'])) return { end: object['end'] as AuditEnd }
  return { seq: before + 1, hash: '', prevHash: '', canonical: line }
}

function objectOf(line: string): Record<string, unknown> | null {
  try {
    const value = JSON.parse(line)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
