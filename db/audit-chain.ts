// How audit rows hang together: each carries the SHA-256 over the hash before it and its own canonical JSON.
// Pure and frozen: what was hashed once must hash the same for ever. Refuses to know where rows are kept.
import { hash as digest } from 'node:crypto'

/** What the first row names as the hash before it. */
export const GENESIS_HASH = '0'.repeat(64)

/**
 * What kind of caller an actor is, so that no name can imitate another kind: the holder of an API token or of an operator's
 * certificate, an enrolling device with an enrollment token, claim or IDevID, a device that renews, a part of this service, or a
 * command that works on the data directory itself.
 */
export const actorKinds = ['token', 'certificate', 'enrollment', 'device', 'service', 'local'] as const
export type ActorKind = (typeof actorKinds)[number]
/** Kinds of which a person, or a program in its place, decided; the others are devices and the service itself. */
export const peopleKinds: readonly ActorKind[] = ['token', 'certificate', 'local']

/** A row as it is stored. `at` in ms since the epoch, `detail` canonical JSON text, hashes in lowercase hex. */
export type AuditRow = {
  seq: number
  at: number
  actor: string
  /** Null in rows that were written before kinds were. */
  actorKind: ActorKind | null
  action: string
  target: string
  outcome: string
  reason: string | null
  requestId: string | null
  detail: string
  prevHash: string
  hash: string
}

/** The facts of a row before it has its place. */
export type AuditFacts = Omit<AuditRow, 'seq' | 'detail' | 'prevHash' | 'hash'> & {
  detail: Record<string, unknown>
}

/** The end of a chain: what the next row continues. */
export type ChainEnd = { seq: number; hash: string }

export const chainStart: ChainEnd = { seq: 0, hash: GENESIS_HASH }

/** The row that continues a chain. */
export function nextRow(end: ChainEnd, facts: AuditFacts): AuditRow {
  const row = {
    seq: end.seq + 1,
    at: facts.at,
    actor: facts.actor.toWellFormed(),
    // Rows that migrations of before take over have none.
    actorKind: facts.actorKind ?? null,
    action: facts.action.toWellFormed(),
    target: facts.target.toWellFormed(),
    outcome: facts.outcome.toWellFormed(),
    reason: facts.reason?.toWellFormed() ?? null,
    requestId: facts.requestId?.toWellFormed() ?? null,
    // Through JSON once, so that what JSON has no word for is gone before it is hashed.
    detail: canonicalJson(JSON.parse(JSON.stringify(facts.detail))),
  }
  return { ...row, prevHash: end.hash, hash: rowHash(end.hash, canonicalRow(row)) }
}

/** SHA-256, in lowercase hex, over the hash before (as 64 characters) and the canonical JSON of a row (UTF-8). */
export function rowHash(prevHash: string, canonical: string): string {
  return digest('sha256', prevHash + canonical, 'hex')
}

/**
 * The row as RFC 8785 has it, without its hashes. Written out by hand because verifying spends its time here.
 * Where somebody put a value of another type or a time out of range into the row, the text is of no valid row.
 * A row without a kind has the text that rows had before there were kinds, so old hashes hold.
 */
export function canonicalRow(row: Omit<AuditRow, 'prevHash' | 'hash'>): string {
  const kind = row.actorKind === null ? '' : `"actorKind":${quoted(row.actorKind)},`
  return `{"action":${quoted(row.action)},"actor":${quoted(row.actor)},${kind}"detail":${row.detail},"outcome":${quoted(
    row.outcome,
  )},"reason":${row.reason === null ? 'null' : JSON.stringify(row.reason)},"requestId":${
    row.requestId === null ? 'null' : JSON.stringify(row.requestId)
  },"seq":${row.seq},"target":${JSON.stringify(row.target)},"ts":"${timeText(row.at)}"}`
}

/** RFC 3339 in UTC with milliseconds; `invalid` where the number is no time. */
export function timeText(at: number): string {
  return Number.isSafeInteger(at) && Math.abs(at) <= 8.64e15 ? new Date(at).toISOString() : 'invalid'
}

/** RFC 8785 for what JSON can hold: keys in order of their UTF-16 units, no space, numbers and strings as ECMAScript has them. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed())
  if (value === null || typeof value !== 'object') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const members = Object.keys(value)
    .sort()
    .map(key => `${canonicalJson(key)}:${canonicalJson((value as Record<string, unknown>)[key])}`)
  return `{${members.join(',')}}`
}

/** Actors, actions and outcomes are few and come again and again. */
const QUOTED_MAX = 1_000
const quotations = new Map<string, string>()

function quoted(text: string): string {
  const known = quotations.get(text)
  if (known !== undefined) return known
  const made = JSON.stringify(text)
  if (quotations.size < QUOTED_MAX) quotations.set(text, made)
  return made
}

/** A row as far as the chain is concerned; `canonical` is its text without hashes. */
export type ChainLink = { seq: number; prevHash: string; hash: string; canonical: string }
