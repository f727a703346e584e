// Does what time does: takes the steps that are due in the life of certificates, a few at once, and counts what expires.
// Every step is on record until it is taken: a restart or a clock that jumped is made up for at the next look.

import type { FailedDeadline, PassedDeadline } from '../db/roll/deadlines.ts'
import type { RollCount } from '../db/roll/roll-count.ts'
import { type Periodic, periodic } from './periodic.ts'

type LifecycleJobOptions = {
  passDeadlines(limit: number): Promise<{ passed: PassedDeadline[]; failed: FailedDeadline[] }>
  /** How many certificates that admit end after `from` and until `to`, in ms since the epoch. */
  countExpiring(from: number, to: number): number
  /** Counts the roll, a step at a time. */
  countRoll(): RollCount
  now: () => number
  everyMs: number
  onPassed(passed: PassedDeadline): void
  onStepFailed(failed: FailedDeadline): void
  onCounted(within: Within, certificates: number): void
  onRollCounted(counted: RollCount): void
  onFailed(error: unknown): void
}

export type Within = '24h' | '7d' | '30d'

/** One transaction holds so many steps, so that none takes longer than 20 ms. */
const STEPS_AT_ONCE = 10
const COUNT_EVERY_MS = 60_000
/** A roll that takes longer to count is counted less often. */
const REST_SHARE = 100
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const windows: readonly [Within, number][] = [
  ['24h', DAY_MS],
  ['7d', 7 * DAY_MS],
  ['30d', 30 * DAY_MS],
]

/** `look` goes on until nothing is due, and never throws. `stop` finishes the step under way. */
export function startLifecycleJob(parts: LifecycleJobOptions): Periodic {
  let countedAt = Number.NEGATIVE_INFINITY
  let restMs = COUNT_EVERY_MS

  async function step(): Promise<void> {
    try {
      for (let more = true; more && !loop.isStopping(); ) {
        const { passed, failed } = await parts.passDeadlines(STEPS_AT_ONCE)
        for (const one of failed) parts.onStepFailed(one)
        for (const one of passed) tell(one)
        more = passed.length + failed.length === STEPS_AT_ONCE
        // Requests come first.
        if (more) await new Promise(resolve => setImmediate(resolve))
      }
      await count()
    } catch (error) {
      // What was not taken is still on record.
      parts.onFailed(error)
    }
  }

  /** The step is taken: that it cannot be told of holds up no other. */
  function tell(passed: PassedDeadline): void {
    try {
      parts.onPassed(passed)
    } catch (error) {
      parts.onStepFailed({ ...passed, error })
    }
  }

  async function count(): Promise<void> {
    const at = parts.now()
    if (Math.abs(at - countedAt) < restMs) return
    countedAt = at
    const begin = performance.now()
    await countExpiring(at)
    if (!loop.isStopping()) parts.onRollCounted(parts.countRoll())
    restMs = Math.max(COUNT_EVERY_MS, (performance.now() - begin) * REST_SHARE)
  }

  /** Hour by hour, so that a fleet that ends within a month is counted in steps, too. */
  async function countExpiring(at: number): Promise<void> {
    let certificates = 0
    let from = at
    for (const [within, ms] of windows) {
      for (; from < at + ms && !loop.isStopping(); from += HOUR_MS) {
        certificates += parts.countExpiring(from, from + HOUR_MS)
        await new Promise(resolve => setImmediate(resolve))
      }
      if (!loop.isStopping()) parts.onCounted(within, certificates)
    }
  }

  const loop = periodic(step, parts.everyMs)
  void loop.look()
  return loop
}
