// What nodes tell each other on the bus beside messages: digests of what is in the log, the groups of shared subscriptions that they have
// members of, that a session is to be handed over, and how it was. Whatever bytes come, they are one of these or nothing.
import { type PastTakeovers, TAKEOVERS_REMEMBERED_MAX } from '../../admission/clone-detector.ts'
import type { TokensLeft } from '../connection/token-bucket.ts'
import type { Digest, DigestEntry } from './incoming.ts'

/**
 * `joined` are groups that the node has members of since it said so last, `left` those that it has none of any more. What it said before
 * is forgotten where it `startsAnew`.
 */
export type Control =
  | ({ kind: 'digest' } & Digest)
  | ({ kind: 'groups'; from: number } & GroupChange)
  | { kind: 'hello'; from: number }
export type GroupChange = { startsAnew: boolean; joined: string[]; left: string[] }
/** A client of a device: its certificate, and where it comes from. */
export type PeerPlace = { fingerprint: string; address: string }
/** `by` is the client that comes; null where none waits for it. */
export type HandOver = { clientId: string; to: number; by: PeerPlace | null }
/**
 * `ended` is the connection that ended by it; `past` is of the certificate that comes; `tokens` are what the device may still send. Null
 * where the node does not say.
 */
export type HandedOver = {
  isDone: boolean
  ended: PeerPlace | null
  past: PastTakeovers | null
  tokens: TokensLeft | null
}

const ENTRIES_MAX = 100_000
const GROUPS_MAX = 10_000
const CLIENT_ID_MAX = 256
/** A fingerprint in hex, an IPv6 address with its zone. */
const PLACE_MAX = 64
/** Of messages and bytes: more than any packet takes, or any setting gives. */
const TOKENS_MAX = 2 ** 40

export function encodeControl(control: Control): Buffer {
  if (control.kind !== 'digest') return Buffer.from(JSON.stringify(control))
  const entries = control.entries.map(({ topic, retained, nodes }) =>
    retained === null && nodes.length === 0
      ? topic
      : [topic, retained?.version ?? null, retained?.inline?.toString('base64') ?? null, nodes],
  )
  return Buffer.from(JSON.stringify({ ...control, entries }))
}

/** Null where these bytes are none. */
export function decodeControl(bytes: Uint8Array): Control | null {
  const value = parsed(bytes)
  if (value === null || !isNumber(value['from'])) return null
  const { kind, from } = value
  if (kind === 'hello') return { kind, from }
  if (kind === 'groups') {
    const { startsAnew, joined, left } = value
    return typeof startsAnew === 'boolean' && areGroups(joined) && areGroups(left)
      ? { kind, from, startsAnew, joined, left }
      : null
  }
  const { first, entries } = value
  if (kind !== 'digest' || !isNumber(first) || !Array.isArray(entries) || entries.length > ENTRIES_MAX)
    return null
  const read = entries.map(entryOf)
  return read.includes(null) ? null : { kind, from, first, entries: read as DigestEntry[] }
}

function areGroups(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= GROUPS_MAX && value.every(each => typeof each === 'string')
}

function entryOf(entry: unknown): DigestEntry | null {
  if (typeof entry === 'string') return { topic: entry, retained: null, nodes: [] }
  if (!Array.isArray(entry)) return null
  const [topic, version, inline, nodes] = entry as unknown[]
  if (typeof topic !== 'string' || !Array.isArray(nodes) || !nodes.every(isNumber)) return null
  if (version === null) return { topic, retained: null, nodes }
  if (!isNumber(version)) return null
  if (inline !== null && typeof inline !== 'string') return null
  return {
    topic,
    retained: { version, inline: inline === null ? null : Buffer.from(inline, 'base64') },
    nodes,
  }
}

export function encodeHandOver(asked: HandOver): Buffer {
  return Buffer.from(JSON.stringify(asked))
}

export function decodeHandOver(bytes: Uint8Array): HandOver | null {
  const value = parsed(bytes)
  const { clientId, to } = value ?? {}
  if (typeof clientId !== 'string' || clientId.length > CLIENT_ID_MAX || !isNumber(to)) return null
  return { clientId, to, by: placeOf(value?.['by']) }
}

/** The first octet is all that a node of the version before writes, and reads. */
export function encodeHandedOver({ isDone, ...told }: HandedOver): Buffer {
  return Buffer.concat([Buffer.of(isDone ? 1 : 0), Buffer.from(JSON.stringify(told))])
}

export function decodeHandedOver(bytes: Uint8Array): HandedOver {
  const told = parsed(bytes.subarray(1))
  const [ended, past] = [placeOf(told?.['ended']), pastOf(told?.['past'])]
  return { isDone: bytes[0] === 1, ended, past, tokens: tokensOf(told?.['tokens']) }
}

function placeOf(value: unknown): PeerPlace | null {
  const { fingerprint, address } = (value ?? {}) as Record<string, unknown>
  return isShort(fingerprint) && isShort(address) ? { fingerprint, address } : null
}

function pastOf(value: unknown): PastTakeovers | null {
  const { takeovers, toldAgoMs } = (value ?? {}) as Record<string, unknown>
  if (!Array.isArray(takeovers) || takeovers.length > TAKEOVERS_REMEMBERED_MAX) return null
  if (toldAgoMs !== null && !isNumber(toldAgoMs)) return null
  const read: PastTakeovers['takeovers'] = []
  for (const each of takeovers) {
    const { from, to, agoMs } = (each ?? {}) as Record<string, unknown>
    if (!isShort(from) || !isShort(to) || !isNumber(agoMs)) return null
    read.push({ from, to, agoMs })
  }
  return { takeovers: read, toldAgoMs }
}

/** Tokens are below 0 where a device owes some. */
function tokensOf(value: unknown): TokensLeft | null {
  const { messages, bytes, agoMs } = (value ?? {}) as Record<string, unknown>
  const isAmount = (each: unknown): each is number => Math.abs(each as number) <= TOKENS_MAX
  if (typeof messages !== 'number' || typeof bytes !== 'number' || typeof agoMs !== 'number') return null
  return isAmount(messages) && isAmount(bytes) && agoMs >= 0 ? { messages, bytes, agoMs } : null
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= PLACE_MAX
}

function parsed(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString())
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
