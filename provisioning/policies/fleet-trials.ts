// Trials of drafts on the fleet run on one thread with a connection of its own: neither their work nor the garbage that it
// leaves holds the event loop. The thread starts with the first trial. Knows nothing of what a trial computes.
import { Worker } from 'node:worker_threads'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import type { TimeSliceLimits } from '../time-slices.ts'
import type { Draft } from './fleet-trial.ts'
import { policyProblems } from './policy-problems.ts'

export type FleetTrials = {
  /**
   * The result as JSON. Lists at most `limit` devices.
   * @throws Problem `trial_too_large`; `service_busy` where too many run, it did not end in time, its thread died, or the
   * caller went away, which `gone` says
   */
  run(draft: Draft, limit: number, gone: AbortSignal): Promise<string>
  close(): Promise<void>
}

export type TrialThreadData = { file: string; limits: TimeSliceLimits }
/** Without a draft: nobody waits for this one any more. */
export type TrialMessage = { id: number } & ({ draft: Draft; limit: number } | { draft: null; limit?: never })
/** The JSON of the result, a problem, or, without a reason, what failed. */
export type TrialAnswer = { id: number } & (
  | { text: string; reason?: never }
  | { reason: string | null; message: string }
)
type Running = { resolve(text: string): void; reject(error: Error): void; overdue: NodeJS.Timeout }
type Thread = { worker: Worker; running: Map<number, Running> }

/** One operator may have two. A trial ends before our clients give up, after 15 s. */
const LIMITS = { sliceMs: 10, workMax: 16, begunMax: 4, workMsMax: 6_000, waitMsMax: 14_000 }
/** Its thread has hung where it has not answered long after that. */
const ANSWER_MS_MAX = 20_000
/** A trial of the largest documents, on devices with sixteen sets of policies, needs some 100. */
const HEAP_MIB_MAX = 512
const problems = { ...httpProblems, ...policyProblems }

export function createFleetTrials(
  file: string,
  { heapMibMax = HEAP_MIB_MAX, ...limits }: Partial<TimeSliceLimits & { heapMibMax: number }> = {},
): FleetTrials {
  let thread: Thread | null = null
  let last = 0
  let closed = false

  function start(): Thread {
    const script = import.meta.url.endsWith('.ts') ? './fleet-trial-worker.ts' : './fleet-trial-worker.js'
    const worker = new Worker(new URL(script, import.meta.url), {
      name: 'fleet trials',
      workerData: { file, limits: { ...LIMITS, ...limits } } satisfies TrialThreadData,
      resourceLimits: { maxOldGenerationSizeMb: heapMibMax },
    })
    const started: Thread = { worker, running: new Map() }
    worker.on('message', (answer: TrialAnswer) => {
      const trial = started.running.get(answer.id)
      if (trial === undefined) return
      started.running.delete(answer.id)
      clearTimeout(trial.overdue)
      if ('text' in answer) trial.resolve(answer.text)
      else trial.reject(asError(answer.reason, answer.message))
    })
    worker.on('error', cause => ended(started, cause))
    worker.on('exit', () => ended(started))
    worker.unref()
    return started
  }

  function ended(dead: Thread, cause?: unknown): void {
    if (thread === dead) thread = null
    const error = new Problem(httpProblems, 'service_busy', 'the thread that tried it ended', { cause })
    for (const trial of dead.running.values()) {
      clearTimeout(trial.overdue)
      trial.reject(error)
    }
    dead.running.clear()
  }

  function hung(dead: Thread): void {
    ended(dead, new Error(`a trial was not answered within ${ANSWER_MS_MAX / 1_000} s`))
    void dead.worker.terminate()
  }

  return {
    run: (draft, limit, gone) =>
      new Promise((resolve, reject) => {
        if (closed || gone.aborted) throw new Problem(httpProblems, 'service_busy', 'nobody waits for it')
        thread ??= start()
        const { worker, running } = thread
        if (running.size >= LIMITS.workMax)
          throw new Problem(httpProblems, 'service_busy', `${running.size} trials on the fleet run already`)
        last += 1
        const id = last
        const overdue = setTimeout(hung, ANSWER_MS_MAX, thread)
        running.set(id, { resolve, reject, overdue })
        worker.postMessage({ id, draft, limit } satisfies TrialMessage)
        const leave = () => {
          if (running.has(id)) worker.postMessage({ id, draft: null } satisfies TrialMessage)
        }
        gone.addEventListener('abort', leave, { once: true })
      }),
    async close() {
      closed = true
      await thread?.worker.terminate()
    },
  }
}

function asError(reason: string | null, message: string): Error {
  return reason === null || !isProblem(reason) ? new Error(message) : new Problem(problems, reason, message)
}

function isProblem(reason: string): reason is keyof typeof problems {
  return Object.hasOwn(problems, reason)
}
