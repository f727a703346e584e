// How much may be tried out: messages published in a minute by one caller, and subscriptions at once by one caller and by all.
import { Problem } from '../http/problem.ts'
import { tryoutProblems } from './tryout-problems.ts'

const PUBLISHED_PER_MINUTE = 30
const LISTENING_EACH = 2
const LISTENING = 16
const MINUTE_MS = 60_000
const CALLERS_MAX = 10_000

export function createTryoutLimits(now: () => number) {
  const published = new Map<string, { minute: number; count: number }>()
  const listening = new Map<string, number>()
  let allListening = 0

  return {
    /** @throws `tryouts_exceeded` */
    published(caller: string): void {
      const minute = Math.floor(now() / MINUTE_MS)
      const known = published.get(caller)
      const count = known?.minute === minute ? known.count + 1 : 1
      if (count > PUBLISHED_PER_MINUTE)
        throw new Problem(
          tryoutProblems,
          'tryouts_exceeded',
          `${PUBLISHED_PER_MINUTE} messages were published in this minute`,
        )
      if (published.size >= CALLERS_MAX) published.clear()
      published.set(caller, { minute, count })
    },
    /** Until it is disposed. @throws `tryouts_exceeded` */
    listens(caller: string): Disposable {
      const own = listening.get(caller) ?? 0
      if (own >= LISTENING_EACH || allListening >= LISTENING)
        throw new Problem(tryoutProblems, 'tryouts_exceeded', 'too many subscriptions are being tried out')
      listening.set(caller, own + 1)
      allListening += 1
      return {
        [Symbol.dispose]() {
          allListening -= 1
          const left = (listening.get(caller) ?? 1) - 1
          if (left === 0) listening.delete(caller)
          else listening.set(caller, left)
        },
      }
    },
  }
}
