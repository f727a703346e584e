// Looks for something again and again: after a pause, or at once where it was told that there is something.

export type RepeatedLook = {
  start(): void
  /** There is something: the next look is at once, also where one is under way. */
  wake(): void
  /** No look begins any more; resolves once the one under way has ended. */
  stop(): Promise<void>
}

export function createRepeatedLook(parts: {
  /** Gives whether there is more to look for at once. */
  look(): Promise<boolean>
  everyMs: number
  /** After a look that failed, in place of `everyMs`. */
  retryMs: number
  onFailed(error: unknown): void
}): RepeatedLook {
  let stopped = false
  let woken = false
  let endPause = () => {}
  let running: Promise<void> = Promise.resolve()

  async function run(): Promise<void> {
    while (!stopped) {
      let pauseMs = parts.everyMs
      try {
        woken = false
        if (await parts.look()) continue
      } catch (error) {
        if (stopped) return
        parts.onFailed(error)
        pauseMs = parts.retryMs
      }
      if (woken || stopped) continue
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, pauseMs)
        endPause = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  return {
    start() {
      running = run()
    },
    wake() {
      woken = true
      endPause()
    },
    stop() {
      stopped = true
      endPause()
      return running
    },
  }
}
