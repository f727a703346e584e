// Notices a gate that says nothing any more: it hangs, and so do all connections that the kernel deals out to it.

/** When a gate hangs: it said nothing between so many looks in a row. */
export type SilenceTimes = { everyMs: number; looks: number }

/**
 * Looks again and again whether something was heard, until `stop`. Counts looks and not time: a process that was itself stopped for long
 * judges no gate by what it has not read yet.
 */
export function watchSilence(
  { everyMs, looks }: SilenceTimes,
  onSilent: () => void,
): { heard(): void; stop(): void } {
  let silent = 0
  const timer = setInterval(() => {
    silent += 1
    if (silent > looks) onSilent()
  }, everyMs)
  return {
    heard() {
      silent = 0
    },
    stop: () => clearInterval(timer),
  }
}
