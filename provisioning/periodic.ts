// Work that repeats, one run at a time, until it is stopped. Knows nothing of what the work is.

export type Periodic = {
  /** Runs the work now, or gives the run that is under way. */
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
  let stopping = false
  function look(): Promise<void> {
    running ??= work().finally(() => {
      running = null
    })
    return running
  }
  const timer = setInterval(() => {
    if (isDue()) void look()
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
