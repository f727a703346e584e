// What a run is given: its plan, its target, its outputs, and the signals that end it. Data alone.
import type { RunListeners } from '../results/run-listeners.ts'
import type { Plan } from '../scenario/plan.ts'
import type { WorkerRuntime } from '../workers/runtime.ts'
import type { RunTarget } from './target.ts'
import type { AgentsTarget } from './worker-slots.ts'

export type RunOptions = {
  plan: Plan
  /** The file, or `preset:NAME`, or `flags`. */
  source: string
  target: RunTarget
  listeners: RunListeners
  /** Aborted to end the run early; it still ends with its summary. */
  signal: AbortSignal
  /** Aborted where the rest of the timeline is not needed: the run then ends as it does when its time is up. */
  timeUp?: AbortSignal
  /** Processes of this machine whose CPU and memory the report shows. */
  watchedPids?: readonly number[]
  operatorCommand: string | null
  /** The machines that devices are on, where it is not this one. */
  agents?: AgentsTarget | null
  /** Of the workers on this machine. */
  runtime: WorkerRuntime
  /** Attempts without one admitted after which the run stops; 0 never. */
  failFast?: number
  enrollConcurrency: number
  version: string
}
