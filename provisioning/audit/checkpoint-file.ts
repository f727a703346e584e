// The newest checkpoint as a file of its own, on another disk or host where the setting says so: one line of JSON, as in an export.
// A writer of the registry file that shortens the log cannot change it there.
import { readFileSync } from 'node:fs'
import type { Checkpoint } from '../../db/audit/audit-checkpoint.ts'
import { replaceFile } from '../data-directory.ts'

/** `missing` where there is no file, `unreadable` where it holds no checkpoint or cannot be read. */
type KeptCheckpoint = Checkpoint | 'missing' | 'unreadable'

const BYTES_MAX = 4_096

export function readCheckpointFile(file: string): KeptCheckpoint {
  try {
    const text = readFileSync(file, 'utf8')
    return text.length > BYTES_MAX ? 'unreadable' : checkpointOf(JSON.parse(text))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing' : 'unreadable'
  }
}

/** @throws an error that says why it cannot be written */
export function writeCheckpointFile(file: string, checkpoint: Checkpoint): void {
  const { number, seq, hash, at, keyId, signature } = checkpoint
  const line = JSON.stringify({ checkpoint: { number, seq, hash, at, keyId, signature } })
  replaceFile(file, `${line}\n`, 0o600)
}

function checkpointOf(value: unknown): KeptCheckpoint {
  const { checkpoint } = value as { checkpoint?: Partial<Checkpoint> }
  const { number, seq, hash, at, keyId, signature } = checkpoint ?? {}
  const isCount = (count: unknown): count is number => Number.isSafeInteger(count) && Number(count) >= 0
  if (!isCount(number) || !isCount(seq) || !Number.isSafeInteger(at)) return 'unreadable'
  if (typeof hash !== 'string' || typeof keyId !== 'string' || typeof signature !== 'string')
    return 'unreadable'
  return { number, seq, hash, at: Number(at), keyId, signature }
}
