// Keeps the index of retained messages, which the provisioning service reads: made anew at the start, some at a time, then changed in batches.
// What cannot be written is written later; nobody waits for it.
import {
  beginRetainedFile,
  type RetainedFacts,
  type RetainedFile,
  type RetainedNote,
} from '../../db/retained/retained-file.ts'

export type RetainedIndex = {
  /** Begins to write what this engine retains. */
  start(engine: {
    retainedTopics(): Iterable<string>
    retainedFacts(topic: string): RetainedFacts | null
  }): void
  /** What the topic retains is another message now, or none. */
  changed(topic: string): void
  /** Writes what waits, if it can. While the engine can still be read. */
  close(): void
}

/** Rows at once: a few milliseconds. */
const AT_ONCE = 500
const MORE_MS = 25
const FAILURE_REST_MS = 10_000

export function createRetainedIndex(parts: {
  file: string
  /** Interval of writes; half a second by default. */
  everyMs?: number | undefined
  onFailed(error: unknown): void
}): RetainedIndex {
  const everyMs = parts.everyMs ?? 500
  const changed = new Set<string>()
  let engine: Parameters<RetainedIndex['start']>[0] | null = null
  let open: RetainedFile | null = null
  /** What is still to be written of a new index; null once that is whole. */
  let rest: Iterator<string> | null = null
  let timer: NodeJS.Timeout | null = null

  function noteOf(topic: string): RetainedNote {
    return { topic, facts: engine?.retainedFacts(topic) ?? null }
  }

  /** Gives how long to wait then. */
  function write(): number {
    if (engine === null) return everyMs
    if (open === null) {
      open = beginRetainedFile(parts.file)
      rest = engine.retainedTopics()[Symbol.iterator]()
      changed.clear()
    }
    if (rest !== null) {
      const topics = take(rest, AT_ONCE)
      open.write(topics.map(noteOf))
      if (topics.length === AT_ONCE) return MORE_MS
      open.finish()
      rest = null
    }
    const topics = take(changed.values(), AT_ONCE)
    if (topics.length === 0) return everyMs
    open.write(topics.map(noteOf))
    for (const topic of topics) changed.delete(topic)
    return changed.size > 0 ? MORE_MS : everyMs
  }

  /** Where it fails the index is made anew: whatever was wrong with the file. A reader that holds it up is waited for. */
  function attempt(): number {
    try {
      return write()
    } catch (error) {
      if ((error as { code?: string }).code?.startsWith('SQLITE_BUSY')) return MORE_MS
      shut()
      parts.onFailed(error)
      return FAILURE_REST_MS
    }
  }

  function shut(): void {
    open?.close()
    open = null
    rest = null
    changed.clear()
  }

  function turn(): void {
    timer = setTimeout(turn, attempt())
    timer.unref()
  }

  return {
    start(given) {
      engine = given
      turn()
    },
    changed(topic) {
      // Where there is no file yet it is read as it is then.
      if (open !== null) changed.add(topic)
    },
    close() {
      if (timer !== null) clearTimeout(timer)
      while (open !== null && (rest !== null || changed.size > 0)) {
        const waiting = changed.size
        if (attempt() !== MORE_MS || changed.size === waiting) break
      }
      shut()
    },
  }
}

function take(topics: Iterator<string>, count: number): string[] {
  const taken: string[] = []
  while (taken.length < count) {
    const next = topics.next()
    if (next.done === true) break
    taken.push(next.value)
  }
  return taken
}
