// What happened to a row that does not continue the chain: changed, removed, reordered or appended by hand.
// A conclusion from traces: the row named is the first that is not as it was written.

import type { ChainLink } from '../audit-chain.ts'
import { type ChainEnd, rowHash } from '../audit-chain.ts'
import { type AuditKeys, type Checkpoint, isGenuine } from './audit-checkpoint.ts'

export type AuditFault = {
  kind: 'changed' | 'removed' | 'reordered' | 'appended' | 'checkpoint'
  /** The first row concerned. */
  seq: number
  /** The last one, where several are. */
  through: number
  message: string
}

/** How far away the place is looked for that a moved row had. */
const PLACES_MAX = 10_000

/** `row` does not continue `end`; `next` comes after it, `vouched` says that a signed checkpoint names its hash. */
export function faultOfRow(found: {
  end: ChainEnd
  row: ChainLink
  next: ChainLink | null
  vouched: boolean
}): AuditFault {
  const { end, row, next, vouched } = found
  const expected = end.seq + 1
  const whole = isWhole(row)
  if (row.seq < expected) {
    return fault('reordered', row.seq, `row ${row.seq} stands after row ${end.seq}`)
  }
  if (row.seq > expected) return faultOfGap(expected, row, next, whole)
  if (whole) return faultOfNewHash(end, row)
  const place = placeOf(row)
  if (place !== null) return faultOfMove(row, place, next)
  // Its hash was in the chain before: what came after it names it, or stands whole itself.
  const followed =
    next !== null && (isWhole(next) || (next.prevHash === row.hash && row.prevHash === end.hash))
  if (vouched || followed) return fault('changed', row.seq, `row ${row.seq} was changed after it was written`)
  return fault(
    'appended',
    row.seq,
    `row ${row.seq} was appended by hand, or changed: nothing after it vouches for its hash`,
  )
}

function faultOfGap(expected: number, row: ChainLink, next: ChainLink | null, whole: boolean): AuditFault {
  if (next !== null && next.seq === expected) {
    return fault('reordered', expected, `row ${expected} stands after row ${row.seq}`)
  }
  const linked = next !== null && next.prevHash === row.hash
  if (!whole && !linked) {
    return fault('appended', row.seq, `row ${row.seq} was appended by hand: its hash is of no row`)
  }
  const last = row.seq - 1
  const which = last === expected ? `row ${expected} is` : `rows ${expected} to ${last} are`
  return fault('removed', expected, `${which} missing`, last)
}

/** The row is as it was written, yet names another hash: so the one before is not. */
function faultOfNewHash(end: ChainEnd, row: ChainLink): AuditFault {
  if (end.seq === 0) {
    return fault('changed', row.seq, `row ${row.seq} is not the first row that was written`)
  }
  return fault(
    'changed',
    end.seq,
    `row ${end.seq} was changed and its hash made anew: row ${row.seq} names the hash it had`,
  )
}

function faultOfMove(row: ChainLink, place: number, next: ChainLink | null): AuditFault {
  const was = `row ${row.seq} was row ${place} when it was written`
  if (place < row.seq) {
    return fault('appended', place, `a row was put in by hand at ${place}: ${was}`, row.seq - 1)
  }
  const shifted = next === null || isWhole({ ...next, canonical: withSeq(next, next.seq + place - row.seq) })
  return shifted
    ? fault('removed', row.seq, `rows were removed at ${row.seq} and the rest renumbered: ${was}`, place - 1)
    : fault('reordered', row.seq, `${was}`)
}

/** What a checkpoint shows when the chain has come to its row, or to its end before that row. */
export function faultOfCheckpoint(found: {
  checkpoint: Checkpoint
  /** The number of the checkpoint before. */
  after: number
  /** The last row that a checkpoint before covers. */
  sealed: number
  end: ChainEnd
  keys: AuditKeys
}): AuditFault | null {
  const { checkpoint, after, sealed, end, keys } = found
  const { number, seq, keyId } = checkpoint
  const about = (message: string) => fault('checkpoint', Math.min(seq, end.seq), message)
  if (number !== after + 1) {
    return about(
      number > after + 1 ? `checkpoint ${after + 1} is missing` : `checkpoint ${number} is there twice`,
    )
  }
  if (!keys.has(keyId)) {
    return about(`checkpoint ${number} is signed by the key ${keyId}, which was not given`)
  }
  if (!isGenuine(checkpoint, keys)) return about(`the signature of checkpoint ${number} is wrong`)
  if (seq > end.seq) {
    const which = seq === end.seq + 1 ? `row ${seq} is` : `rows ${end.seq + 1} to ${seq} are`
    return fault('removed', end.seq + 1, `${which} missing: checkpoint ${number} covers row ${seq}`, seq)
  }
  if (seq === end.seq && checkpoint.hash === end.hash) return null
  return fault(
    'changed',
    sealed + 1,
    `a row from ${sealed + 1} to ${seq} was changed and the chain made anew: checkpoint ${number} names the hash it had`,
    seq,
  )
}

/** What the registry counted and no longer has. */
export function missingTail(
  lastSeq: number,
  lastNumber: number,
  counted: { rows: number; checkpoints: number } | undefined,
): AuditFault | null {
  if (counted === undefined) return null
  if (counted.rows > lastSeq) {
    const message = `the registry counted up to row ${counted.rows}, but the log ends at row ${lastSeq}`
    return fault('removed', lastSeq + 1, message, counted.rows)
  }
  if (counted.checkpoints > lastNumber) {
    const message = `the registry counted up to checkpoint ${counted.checkpoints}, but has ${lastNumber}`
    return fault('checkpoint', lastSeq, message)
  }
  return null
}

/** Whether a row has the hash that its content and the hash it names make. */
function isWhole(row: ChainLink): boolean {
  return rowHash(row.prevHash, row.canonical) === row.hash
}

/** The number under which a row was written, null where it is not one nearby. */
function placeOf(row: ChainLink): number | null {
  for (let distance = 1; distance <= PLACES_MAX; distance += 1) {
    for (const seq of [row.seq - distance, row.seq + distance]) {
      if (seq > 0 && isWhole({ ...row, canonical: withSeq(row, seq) })) return seq
    }
  }
  return null
}

/** A quote inside a JSON string has a backslash before it, so this is never found in one; `target` and `ts` follow. */
function withSeq(row: ChainLink, seq: number): string {
  const at = row.canonical.lastIndexOf(',"seq":')
  const rest = row.canonical.indexOf(',"target":', at)
  return at < 0 || rest < 0
    ? row.canonical
    : `${row.canonical.slice(0, at)},"seq":${seq}${row.canonical.slice(rest)}`
}

function fault(kind: AuditFault['kind'], seq: number, message: string, through = seq): AuditFault {
  return { kind, seq, through, message }
}
