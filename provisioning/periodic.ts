// Work that repeats, one run at a time, until it is stopped. Knows nothing of what the work is.

export type Periodic = {
  /** Resolves after a run that began now or, where one is under way, after that: it may not have seen what the caller did. */
  look(): Promise<void>
  /** True from `stop` on: the run under way begins nothing new. */
  isStopping(): boolean
  /** Starts no further run, and waits for the one that is under way. */
  stop(): Promise<void>
}

/** Runs `work` every `everyMs` where `isDue` allows it; the first run is the caller's. `work` never throws. */
export function periodic(
  work: () => Promise<void>,
  everyMs: number,
  isDue: () => boolean = () => true,
): Periodic {
  let running: Promise<void> | null = null
  let next: Promise<void> | null = null
  let stopping = false
  function begin(): Promise<void> {
    running = work().finally(() => {
      running = null
    })
    return running
  }
  function look(): Promise<void> {
    if (next !== null) return next
    if (running === null) return begin()
    next = running.then(() => {
      next = null
      return stopping ? undefined : begin()
    })
    return next
  }
  const timer = setInterval(() => {
    if (running === null && isDue()) void begin()
  }, everyMs)
  timer.unref()
  return {
    look,
    isStopping: () => stopping,
    async stop() {
      stopping = true
      clearInterval(timer)
      await running
    },
  }
}
