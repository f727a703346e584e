// Waits for what happens inside this process, or soon in another one, without a time of its own.
import assert from 'node:assert/strict'
// Imported by name it stays the real one where a test mocks timers.
import { setTimeout as pause } from 'node:timers/promises'

/** So many turns of the event loop pass at once: within them comes what needs nothing but this process. */
const TURNS = 20
/** A server or another process may need the processor to bring it about. */
const PAUSE_MS = 2

/** Resolves once it holds; fails after the deadline, which is for what never comes and not for a machine that is busy. */
export async function until(holds: () => boolean | Promise<boolean>, deadlineMs = 30_000): Promise<void> {
  const end = performance.now() + deadlineMs
  for (let turn = 0; !(await holds()); turn += 1) {
    assert.ok(performance.now() < end, `it never came to hold: ${holds}`)
    if (turn < TURNS) await new Promise(resolve => setImmediate(resolve))
    else await pause(PAUSE_MS)
  }
}
