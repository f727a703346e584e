// Many writes, one transaction, one wait for the disk: what is written while the disk is busy goes together next. The sender
// of an acknowledgement waits for its group. Knows no messages.
import type { Database } from 'better-sqlite3'
import type { RefusedMessages } from '../../../db/sessions/session-file.ts'

export type GroupCommit = {
  /** Writes in the group that is open. Throws where it cannot be written; the whole group is lost then. */
  write<T>(work: () => T): T
  /** The same, but where it fails it is as if only this had not been written: the group goes on. What `owe` and `undo` do has no place in it. */
  attempt<T>(work: () => T): T
  /**
   * Of the group written to last, to be asked in the same turn: resolves once it is on disk, rejects where it is lost.
   */
  kept(): Promise<void>
  /** A write that nobody waits for and that must happen: done now, and again where its group is lost. */
  owe(work: () => void): void
  /** What to do where the group written to last is lost, in the same turn as the write. */
  undo(work: () => void): void
  /** What to do where the group written to last is kept without this message, in the same turn as the write and before `kept` resolves. */
  ifRefused(sequence: number, work: (error: Error) => void): void
  /** Commits what is open. Nothing may be written after. */
  close(): Promise<void>
}

type Group = {
  kept: Promise<void>
  resolve(): void
  reject(error: unknown): void
  failed: unknown
  owed: (() => void)[]
  undo: (() => void)[]
  /** By the sequence number of a message. */
  ifRefused: Map<number, (error: Error) => void> | null
}

/** More than this is not remembered: what was struck out may then come again after a lost group, as MQTT allows. */
const OWED_MAX = 100_000

export function createGroupCommit(parts: {
  sqlite: Pick<Database, 'exec' | 'inTransaction'>
  sync(): Promise<RefusedMessages>
  onLost(error: unknown): void
  onKept(tookMs: number): void
}): GroupCommit {
  const { sqlite } = parts
  let open: Group | null = null
  let last: Promise<void> = Promise.resolve()
  let syncing = false
  let owed: (() => void)[] = []
  /** A disk that did not take what it had accepted is not believed again. */
  let broken: unknown = null

  function join(): Group {
    if (broken !== null) throw broken
    if (open !== null) {
      if (open.failed !== null) throw open.failed
      return open
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // nobody may be waiting
    const group: Group = { kept: promise, resolve, reject, failed: null, owed, undo: [], ifRefused: null }
    owed = []
    open = group
    last = promise
    if (!syncing) setImmediate(commit)
    try {
      sqlite.exec('BEGIN IMMEDIATE')
      for (const work of group.owed) work()
    } catch (error) {
      abandon(group, error)
      throw error
    }
    return group
  }

  /** It stays open, so that other writers of this turn learn of it, too. */
  function abandon(group: Group, error: unknown): void {
    group.failed = error
    if (sqlite.inTransaction) sqlite.exec('ROLLBACK')
  }

  function commit(): void {
    const group = open
    open = null
    if (group === null) return
    if (group.failed === null)
      try {
        sqlite.exec('COMMIT')
      } catch (error) {
        abandon(group, error)
      }
    if (group.failed !== null) lose(group, group.failed)
    else void sync(group)
  }

  async function sync(group: Group): Promise<void> {
    syncing = true
    const began = performance.now()
    try {
      const refused = await parts.sync()
      parts.onKept(performance.now() - began)
      for (const [sequence, error] of refused) group.ifRefused?.get(sequence)?.(error)
      group.resolve()
    } catch (error) {
      broken = error
      lose(group, error)
    }
    syncing = false
    if (open !== null) commit()
  }

  function lose(group: Group, error: unknown): void {
    for (const work of group.owed) if (owed.length < OWED_MAX) owed.push(work)
    for (const work of group.undo.reverse()) work()
    parts.onLost(error)
    group.reject(error)
  }

  function write<T>(work: () => T): T {
    const group = join()
    try {
      return work()
    } catch (error) {
      abandon(group, error)
      throw error
    }
  }

  function attempt<T>(work: () => T): T {
    const group = join()
    try {
      sqlite.exec('SAVEPOINT attempt')
      const done = work()
      sqlite.exec('RELEASE attempt')
      return done
    } catch (error) {
      if (!undoAttempt()) abandon(group, error)
      throw error
    }
  }

  /** False where a full disk has ended the transaction with all that was in it, or where half of the attempt would stay. */
  function undoAttempt(): boolean {
    try {
      if (sqlite.inTransaction) sqlite.exec('ROLLBACK TO attempt; RELEASE attempt')
      return sqlite.inTransaction
    } catch {
      return false
    }
  }

  return {
    write,
    attempt,
    kept: () => last,
    owe(work) {
      try {
        write(work)
        open?.owed.push(work)
      } catch {
        if (owed.length < OWED_MAX) owed.push(work)
      }
    },
    undo: work => void open?.undo.push(work),
    ifRefused(sequence, work) {
      if (open === null) return
      open.ifRefused ??= new Map()
      open.ifRefused.set(sequence, work)
    },
    async close() {
      await new Promise(resolve => setImmediate(resolve))
      await last.catch(() => {})
    },
  }
}
