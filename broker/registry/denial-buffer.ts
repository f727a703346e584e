// Collects what policies denied to devices, for the registry: each topic of a device once a minute, with how often, and no more than
// twenty topics of a device in that time. Asks the policies why, once for each note.
import { DENIED_TOPIC_CHARACTERS_MAX, type DenialNote } from '../../db/roll/denials.ts'
import { principalOf, type Session } from '../mqtt/connection/sessions.ts'
import type { DeniedQuestion, ExplainDenial } from '../mqtt/rights-resolver.ts'

export type DenialBuffer = ReturnType<typeof createDenialBuffer>

const REPEAT_MS = 60_000
const REMEMBERED_MAX = 10_000
const TOPICS_PER_DEVICE = 20
const BATCH_MAX = 500

type Seen = { note: DenialNote; writtenAt: number }

export function createDenialBuffer(explain: ExplainDenial, now: () => number) {
  /** In the order of the last time. */
  const seen = new Map<string, Seen>()
  const topics = new Map<string, number>()

  function forget(key: string, { note: { deviceId } }: Seen): void {
    seen.delete(key)
    const left = (topics.get(deviceId) ?? 1) - 1
    if (left > 0) topics.set(deviceId, left)
    else topics.delete(deviceId)
  }

  return {
    /** Gives the note where it is a new one, null where it is counted with one before or one too many. */
    denied(session: Session, question: DeniedQuestion): DenialNote | null {
      const { deviceId, fingerprint } = session.identity
      const topic = question.topic.slice(0, DENIED_TOPIC_CHARACTERS_MAX)
      const key = `${deviceId} ${question.action} ${topic}`
      const before = seen.get(key)
      if (before !== undefined) {
        before.note = { ...before.note, count: before.note.count + 1, at: now(), address: session.address }
        seen.delete(key)
        seen.set(key, before)
        return null
      }
      if ((topics.get(deviceId) ?? 0) >= TOPICS_PER_DEVICE) return null
      // A policy that changed meanwhile may allow it: then nobody can tell.
      const decision = explain(principalOf(session), question)
      const told = decision?.allowed === false ? decision : null
      const note: DenialNote = {
        ...{ deviceId, ...question, topic, fingerprint, address: session.address, at: now(), count: 1 },
        ...{ verdict: told?.verdict ?? null, decidedBy: told?.decidedBy ?? null },
      }
      seen.set(key, { note, writtenAt: Number.NEGATIVE_INFINITY })
      topics.set(deviceId, (topics.get(deviceId) ?? 0) + 1)
      const oldest = seen.size > REMEMBERED_MAX ? seen.entries().next().value : undefined
      if (oldest !== undefined) forget(...oldest)
      return note
    },

    /** Writes what is due; throws where the registry takes nothing, and then it waits on. */
    flush(write: (notes: DenialNote[]) => void): void {
      if (seen.size === 0) return
      const rested = [...seen].filter(([, one]) => Math.abs(now() - one.writtenAt) >= REPEAT_MS)
      const due = rested.filter(([, one]) => one.note.count > 0).slice(0, BATCH_MAX)
      if (due.length > 0) write(due.map(([, { note }]) => note))
      for (const [, one] of due) {
        one.writtenAt = now()
        one.note = { ...one.note, count: 0 }
      }
      // What was not asked for in a minute makes room for other topics.
      for (const [key, one] of rested) if (one.writtenAt !== now() && one.note.count === 0) forget(key, one)
    },
  }
}
