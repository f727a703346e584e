// Time as the simulator keeps it: when things are due, how many may run at once, how long to wait after a failure.
// Does not know what the tasks do.

/** Milliseconds on a monotonic clock. */
type Clock = () => number

export type Task = { cancel(): void }

export type Schedule = {
  now: Clock
  /** The latest time that `now` gave: for what need not be exact, without a look at the clock. */
  lately(): number
  /** Runs `run(dueAt)` once, as soon as the clock has reached `dueAt`; late runs still get the time that was due. */
  at(dueAt: number, run: (dueAt: number) => void): Task
  /** As `at`, and again at each time that `run` gives, until it gives null: without a new task for each of many messages. */
  repeat(dueAt: number, run: (dueAt: number) => number | null): Task
  /** Resolves once the clock has reached `dueAt`, or at once when the signal is aborted. */
  wait(dueAt: number, signal?: AbortSignal): Promise<void>
  /** Cancels all tasks. */
  close(): void
}

type Entry = Task & { run: ((dueAt: number) => unknown) | null; repeats: boolean }
/** All tasks due at one time. `next` is the first that has not run. */
type Slot = { dueAt: number; entries: Entry[]; next: number }

const TURN_BUDGET_MS = 8
/** In a turn the clock is read at least once for so many tasks. */
const TASKS_PER_LOOK = 8

/**
 * One timer for all tasks, instead of one for each of thousands of devices; tasks due together are one place
 * in the heap. A turn is bounded to about 8 ms, so that catching up never starves the sockets.
 */
export function createSchedule(clock: Clock = () => performance.now()): Schedule {
  const heap: Slot[] = []
  const slots = new Map<number, Slot>()
  let current: Slot | null = null
  let timer: NodeJS.Timeout | null = null
  let timerDueAt = Number.POSITIVE_INFINITY
  let immediate: NodeJS.Immediate | null = null
  let turning = false
  let latest = clock()

  function now(): number {
    latest = clock()
    return latest
  }

  function arm(): void {
    const first = heap[0]
    if (turning || immediate || !first || first.dueAt >= timerDueAt) return
    if (timer) clearTimeout(timer)
    timerDueAt = first.dueAt
    // In whole milliseconds, or a timer fires early and is set again; above 2^31 it would overflow.
    timer = setTimeout(turn, Math.min(Math.max(0, Math.ceil(first.dueAt - now())), 2_000_000_000))
  }

  function turn(): void {
    timer = null
    immediate = null
    timerDueAt = Number.POSITIVE_INFINITY
    turning = true
    let late = true // also where a task throws: the others go on in the next turn
    try {
      late = runDue(now())
    } finally {
      turning = false
      if (late) immediate = setImmediate(turn)
      else arm()
    }
  }

  /** @returns whether the turn has taken its time, and more is due. */
  function runDue(startedAt: number): boolean {
    let ran = 0
    for (let slot = current ?? dueSlot(); slot; slot = dueSlot()) {
      current = slot
      while (slot.next < slot.entries.length) {
        run(slot.entries[slot.next++] as Entry, slot.dueAt)
        if ((++ran % TASKS_PER_LOOK === 0 ? now() : latest) - startedAt > TURN_BUDGET_MS) return true
      }
      current = null
    }
    return false
  }

  /** Taken out of the heap: what becomes due at the same time from now on is a slot of its own. */
  function dueSlot(): Slot | null {
    const first = heap[0]
    if (!first || first.dueAt > now()) return null
    pop(heap)
    slots.delete(first.dueAt)
    return first
  }

  function run(entry: Entry, dueAt: number): void {
    const { run } = entry
    if (!run) return
    if (!entry.repeats) entry.run = null
    const again = run(dueAt)
    if (entry.repeats && entry.run && typeof again === 'number') place(again, entry)
  }

  function place(dueAt: number, entry: Entry): void {
    const known = slots.get(dueAt)
    if (known) {
      known.entries.push(entry)
      return
    }
    const slot = { dueAt, entries: [entry], next: 0 }
    slots.set(dueAt, slot)
    push(heap, slot)
    arm()
  }

  function at(dueAt: number, run: (dueAt: number) => void): Task {
    const entry: Entry = { run, repeats: false, cancel }
    place(dueAt, entry)
    return entry
  }

  return {
    now,
    lately: () => latest,
    at,
    repeat(dueAt, run) {
      const entry: Entry = { run, repeats: true, cancel }
      place(dueAt, entry)
      return entry
    },
    wait(dueAt, signal) {
      if (signal?.aborted) return Promise.resolve()
      return new Promise(resolve => {
        const task = at(dueAt, done)
        function done(): void {
          task.cancel()
          signal?.removeEventListener('abort', done)
          resolve()
        }
        signal?.addEventListener('abort', done, { once: true })
      })
    },
    close() {
      heap.length = 0
      slots.clear()
      current = null
      if (timer) clearTimeout(timer)
      if (immediate) clearImmediate(immediate)
      timer = null
      immediate = null
      timerDueAt = Number.POSITIVE_INFINITY
    },
  }
}

const COARSE_MS = 50

/** Up to 50 ms later: a time that thousands can share, for what need not be exact. */
export function coarse(dueAt: number): number {
  return Math.ceil(dueAt / COARSE_MS) * COARSE_MS
}

/** `intervalMs` shifted by at most `share` of itself either way, so that devices do not fall into step. */
export function jittered(intervalMs: number, share: number, random: () => number): number {
  return intervalMs * (1 + share * (2 * random() - 1))
}

type BackOff = { baseMs?: number; capMs?: number; jitter?: number; random: () => number }

/** Exponential back-off: `baseMs` · 2^failures, capped; the share `jitter` of it is left to chance. */
export function backOffMs(
  failures: number,
  { baseMs = 1_000, capMs = 30_000, jitter = 0.75, random }: BackOff,
): number {
  return Math.min(capMs, baseMs * 2 ** Math.min(failures, 20)) * (1 - jitter + jitter * random())
}

/**
 * Calls `work` for each item with at most `concurrency` running. The first failure stops the rest from
 * starting and is thrown once the running ones have settled; an aborted signal stops quietly.
 */
export async function forEachBounded<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T, index: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0
  const failures: unknown[] = []
  async function worker(): Promise<void> {
    while (next < items.length && failures.length === 0 && !signal?.aborted) {
      const index = next++
      try {
        await work(items[index] as T, index)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker))
  if (failures.length > 0) throw failures[0]
}

/** One function for all tasks: there is one task for every message. */
function cancel(this: Entry): void {
  this.run = null
}

function push(heap: Slot[], slot: Slot): void {
  let at = heap.push(slot) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent] as Slot
    if (above.dueAt <= slot.dueAt) break
    heap[at] = above
    at = parent
  }
  heap[at] = slot
}

function pop(heap: Slot[]): void {
  const last = heap.pop()
  if (!last || heap.length === 0) return
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= heap.length) break
    const right = heap[child + 1]
    if (right && right.dueAt < (heap[child] as Slot).dueAt) child++
    const below = heap[child] as Slot
    if (below.dueAt >= last.dueAt) break
    heap[at] = below
    at = child
  }
  heap[at] = last
}
