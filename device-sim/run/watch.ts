// Checks each sample for events to report at once: the broker is gone or back, a limit of the simulator was reached.
// Does not know what else is in it.
import type { Sample } from '../results/sample.ts'
import type { RunEvent } from '../results/summary.ts'
import type { Limits } from './limits.ts'

type Watch = { look(sample: Sample): void }

export function createWatch({
  say,
  limits,
}: {
  say(kind: RunEvent['kind'], text: string, good: boolean): void
  limits: Limits
}): Watch {
  let everConnected = false
  let lost = false
  return {
    look(sample) {
      const { connected } = sample.population
      for (const { text } of limits.look(sample)) say('limit', text, true)
      if (connected > 0 && lost)
        say('broker_back', `the broker is back: ${connected} devices connected`, true)
      if (connected > 0) {
        everConnected = true
        lost = false
        return
      }
      const unreachable = Object.keys(sample.failures).find(name => name.startsWith('unreachable_'))
      if (!everConnected || lost || unreachable === undefined) return
      lost = true
      say('broker_lost', `the broker is gone: ${unreachable}`, false)
    },
  }
}
