// Long reads share the event loop: however many run at once, one of them continues in each turn of the loop.
import { setImmediate } from 'node:timers/promises'

/** Each call resolves in a turn of its own. */
export function createEventLoopYield(): () => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return () => {
    last = last.then(() => setImmediate())
    return last
  }
}
