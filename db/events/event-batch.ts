// What several machines tell each other of events, as text: a part is what one process writes at once, a batch is some parts. Whatever
// text comes, reading it never throws: what is none of ours is left out.
import { type EventKind, kinds } from './event-kind.ts'

/** `detail` is JSON. */
export type EventRow = {
  at: number
  kind: EventKind
  deviceId: string | null
  fingerprint: string | null
  reason: string | null
  node: string | null
  detail: string
}
/** `minute` in ms since the epoch; `reason` empty where there is none. */
export type EventCount = { minute: number; kind: EventKind; reason: string; count: number }
export type Mark = { name: string; value: number }
/** Of the history. `minute` in ms since the epoch; of a value that was sampled, `samples` and the largest, `most`. */
export type Figure = {
  minute: number
  name: string
  label: string
  total: number
  samples: number
  most: number
}
export type EventPart = {
  events?: readonly EventRow[]
  counts?: readonly EventCount[]
  marks?: readonly Mark[]
  figures?: readonly Figure[]
}
/** `place` counts all events of the batch, from 0: those that were left out have one, too. */
export type ReadBatch = {
  events: (EventRow & { place: number })[]
  counts: EventCount[]
  marks: Mark[]
  figures: Figure[]
}

export const DETAIL_CHARACTERS_MAX = 2_048
const TEXT_MAX = 256
const known = new Set<unknown>(kinds)

export function encodePart({ events = [], counts = [], marks = [], figures = [] }: EventPart): string {
  return JSON.stringify({
    events: events.map(({ at, kind, deviceId, fingerprint, reason, node, detail }) => [
      ...[at, kind, deviceId, fingerprint, reason, node, detail],
    ]),
    counts: counts.map(({ minute, kind, reason, count }) => [minute, kind, reason, count]),
    marks: marks.map(({ name, value }) => [name, value]),
    figures: figures.map(({ minute, name, label, total, samples, most }) => [
      ...[minute, name, label, Math.round(total), samples, Math.round(most)],
    ]),
  })
}

/** Of parts as they are encoded. */
export function encodeBatch(parts: readonly string[]): string {
  return `[${parts.join(',')}]`
}

export function readBatch(text: string): ReadBatch {
  const batch: ReadBatch = { events: [], counts: [], marks: [], figures: [] }
  let place = 0
  for (const part of listOf(parsed(text))) {
    const { events, counts, marks, figures } = (part ?? {}) as Record<string, unknown>
    for (const row of listOf(events)) {
      const event = eventOf(row)
      if (event !== null) batch.events.push({ ...event, place })
      place += 1
    }
    for (const row of listOf(counts)) {
      const [minute, kind, reason, count] = listOf(row)
      if (isWhole(minute) && isKind(kind) && isText(reason) && isWhole(count))
        batch.counts.push({ minute, kind, reason, count })
    }
    for (const row of listOf(marks)) {
      const [name, value] = listOf(row)
      if (isText(name) && isWhole(value)) batch.marks.push({ name, value })
    }
    for (const row of listOf(figures)) {
      const [minute, name, label, total, samples, most] = listOf(row)
      if (!isText(name) || !isText(label) || !isWhole(minute)) continue
      if (isWhole(total) && isWhole(samples) && isWhole(most))
        batch.figures.push({ minute, name, label, total, samples, most })
    }
  }
  return batch
}

function eventOf(row: unknown): EventRow | null {
  const [at, kind, deviceId, fingerprint, reason, node, detail] = listOf(row)
  if (!isWhole(at) || !isKind(kind) || typeof detail !== 'string' || detail.length > DETAIL_CHARACTERS_MAX)
    return null
  const texts = [deviceId, fingerprint, reason, node]
  if (!texts.every(text => text === null || isText(text))) return null
  const [ofDevice, ofCertificate, because, by] = texts as (string | null)[]
  return {
    ...{ at, kind, detail, deviceId: ofDevice!, fingerprint: ofCertificate!, reason: because!, node: by! },
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [])
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isKind = (value: unknown): value is EventKind => known.has(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= TEXT_MAX
