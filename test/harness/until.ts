// Waits for what happens inside this process, by turning the event loop and not the clock.
import assert from 'node:assert/strict'

/** Resolves once it holds; fails after the deadline, which is for what never comes and not for a machine that is busy. */
export async function until(holds: () => boolean | Promise<boolean>, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await holds())) {
    assert.ok(performance.now() < end, `it never came to hold: ${holds}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
