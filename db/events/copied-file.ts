// A file with a copy of what all machines have told: opened under its name, anew where another one lies there, and set aside where it is
// damaged. Does not know what is copied.
import type { Database } from 'better-sqlite3'
import { type EventFile, isDamage, isReplaced, setEventsAside } from './event-file.ts'

export type CopiedFile<Copy> = {
  /** Throws what the work throws, and where the file cannot be used now. */
  attempt<T>(work: (copy: Copy) => T): T
  close(): void
}

export function createCopiedFile<Copy>(parts: {
  file: string
  now: () => number
  open(): EventFile
  /** What the file is worked with by, as long as it is the one under its name. */
  prepare(sqlite: Database): Copy
  onSetAside(file: string, error: unknown): void
}): CopiedFile<Copy> {
  const { file } = parts
  let open: (EventFile & { copy: Copy }) | null = null

  function close(): void {
    open?.sqlite.close()
    open = null
  }

  function opened(): Copy {
    if (open !== null && isReplaced(file, open)) close()
    if (open === null) {
      const found = parts.open()
      try {
        open = { ...found, copy: parts.prepare(found.sqlite) }
      } catch (error) {
        found.sqlite.close()
        throw error
      }
    }
    return open.copy
  }

  return {
    attempt(work) {
      try {
        return work(opened())
      } catch (error) {
        const inode = open?.inode ?? null
        if (isDamage(error)) {
          close()
          const aside = setEventsAside(file, inode, parts.now())
          if (aside !== null) parts.onSetAside(aside, error)
        }
        throw error
      }
    },
    close,
  }
}
