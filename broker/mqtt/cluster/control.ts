// What nodes tell each other on the bus beside messages: digests of what is in the log, the groups of shared subscriptions that they have
// members of, and that a session is to be handed over. Whatever bytes come, they are one of these or nothing.
import type { Digest, DigestEntry } from './incoming.ts'

/** `groups` are all that the node has members of. */
export type Control =
  | ({ kind: 'digest' } & Digest)
  | { kind: 'groups'; from: number; groups: string[] }
  | { kind: 'hello'; from: number }
export type HandOver = { clientId: string; to: number }

const ENTRIES_MAX = 100_000
const GROUPS_MAX = 10_000
const CLIENT_ID_MAX = 256

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
    const groups = value['groups']
    if (
      !Array.isArray(groups) ||
      groups.length > GROUPS_MAX ||
      !groups.every(each => typeof each === 'string')
    )
      return null
    return { kind, from, groups }
  }
  const { first, entries } = value
  if (kind !== 'digest' || !isNumber(first) || !Array.isArray(entries) || entries.length > ENTRIES_MAX)
    return null
  const read = entries.map(entryOf)
  return read.includes(null) ? null : { kind, from, first, entries: read as DigestEntry[] }
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
  return { clientId, to }
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
