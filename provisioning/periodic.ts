// Work that repeats, one run at a time. Knows nothing of what the work is.

export type Periodic = {
  /** Runs the work now, or gives the run that is under way. */
  run(): Promise<void>
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
  function run(): Promise<void> {
    running ??= work().finally(() => {
      running = null
    })
    return running
  }
  const timer = setInterval(() => {
    if (isDue()) void run()
  }, everyMs)
  timer.unref()
  return {
    run,
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
