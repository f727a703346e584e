// A queue in which callers take turns: a caller with many requests waits for its own, and others do not. Bounded in all; where it is full the
// caller with most gives way. Pure.

export type CallerQueue<T> = {
  /** Gives what had to give way: an entry of the caller with most, which may be this one. Null where there was room. */
  add(caller: string, entry: T): T | null
  /** The oldest entry of the caller whose turn it is; undefined where nothing waits. */
  next(): T | undefined
  size(): number
}

export function createCallerQueue<T>(sizeMax: number): CallerQueue<T> {
  /** In the order of their turns. */
  const callers = new Map<string, T[]>()
  let size = 0

  function removeFrom(caller: string, entries: T[], take: 'oldest' | 'newest'): T {
    const entry = (take === 'oldest' ? entries.shift() : entries.pop())!
    if (entries.length === 0) callers.delete(caller)
    size -= 1
    return entry
  }

  /** The newest of the caller with most, so that its oldest are served in time. */
  function giveWay(): T {
    let [most, theirs] = callers.entries().next().value!
    for (const [caller, entries] of callers)
      if (entries.length > theirs.length) [most, theirs] = [caller, entries]
    return removeFrom(most, theirs, 'newest')
  }

  return {
    add(caller, entry) {
      const entries = callers.get(caller)
      if (entries === undefined) callers.set(caller, [entry])
      else entries.push(entry)
      size += 1
      return size > sizeMax ? giveWay() : null
    },

    next() {
      const first = callers.entries().next().value
      if (first === undefined) return undefined
      const [caller, entries] = first
      // Behind the others, with what is left.
      callers.delete(caller)
      callers.set(caller, entries)
      return removeFrom(caller, entries, 'oldest')
    },

    size: () => size,
  }
}
