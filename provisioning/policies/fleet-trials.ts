// Trials of drafts on the fleet run in one process of low priority: neither their work nor the garbage that it leaves holds the
// event loop, and requests go before them on a machine without a core to spare. The process starts with the first trial and
// ends once none has come for a while. Knows nothing of what a trial computes.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { httpProblems } from '../http/http-problems.ts'
import { Problem } from '../http/problem.ts'
import type { TimeSliceLimits } from '../time-slices.ts'
import type { Draft } from './fleet-trial.ts'
import { policyProblems } from './policy-problems.ts'

export type FleetTrials = {
  /**
   * The result as JSON. Lists at most `limit` devices.
   * @throws Problem `trial_too_large`; `service_busy` where too many run, it did not end in time, its process died, or the
   * caller went away, which `gone` says
   */
  run(draft: Draft, limit: number, gone: AbortSignal): Promise<string>
  close(): Promise<void>
}

export type TrialProcessOptions = { file: string; limits: TimeSliceLimits }
/** Without a draft: nobody waits for this one any more. */
export type TrialMessage = { id: number } & ({ draft: Draft; limit: number } | { draft: null; limit?: never })
/** The JSON of the result, a problem, or, without a reason, what failed; `failed` where the process can try nothing. */
export type TrialAnswer =
  | ({ id: number } & ({ text: string; reason?: never } | { reason: string | null; message: string }))
  | { id?: never; failed: string }
type Running = { resolve(text: string): void; reject(error: Error): void; overdue: NodeJS.Timeout }
type Process = { child: ChildProcess; running: Map<number, Running>; idle: NodeJS.Timeout | null }

/** One operator may have two. A trial ends before our clients give up, after 15 s. */
const LIMITS = { sliceMs: 10, workMax: 16, begunMax: 4, workMsMax: 6_000, waitMsMax: 14_000 }
/** Its process has hung where it has not answered long after that. */
const ANSWER_MS_MAX = 20_000
/** A process that tries nothing for so long gives its memory back. */
const IDLE_MS_MAX = 60_000
/** A trial of the largest documents, on devices with sixteen sets of policies, needs some 100. */
const HEAP_MIB_MAX = 512
const problems = { ...httpProblems, ...policyProblems }

type TrialLimits = TimeSliceLimits & { heapMibMax: number; idleMsMax: number }

export function createFleetTrials(
  file: string,
  { heapMibMax = HEAP_MIB_MAX, idleMsMax = IDLE_MS_MAX, ...limits }: Partial<TrialLimits> = {},
): FleetTrials {
  let current: Process | null = null
  let last = 0
  let closed = false

  function start(): Process {
    const script = import.meta.url.endsWith('.ts') ? './fleet-trial-process.ts' : './fleet-trial-process.js'
    const options: TrialProcessOptions = { file, limits: { ...LIMITS, ...limits } }
    const child = fork(fileURLToPath(new URL(script, import.meta.url)), [JSON.stringify(options)], {
      execArgv: [`--max-old-space-size=${heapMibMax}`],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const started: Process = { child, running: new Map(), idle: null }
    let failed: string | null = null
    child.on('message', (answer: TrialAnswer) => {
      if (answer.id === undefined) failed = answer.failed
      else settle(started, answer.id, answer)
    })
    child.once('error', cause => ended(started, cause))
    child.once('exit', (code, signal) =>
      ended(started, new Error(failed ?? `it ended with ${signal ?? code}`)),
    )
    child.unref()
    child.channel?.unref()
    return started
  }

  function settle(of: Process, id: number, answer: TrialAnswer & { id: number }): void {
    const trial = of.running.get(id)
    if (trial === undefined) return
    of.running.delete(id)
    clearTimeout(trial.overdue)
    if (of.running.size === 0) of.idle = setTimeout(stop, idleMsMax, of).unref()
    if ('text' in answer) trial.resolve(answer.text)
    else trial.reject(asError(answer.reason, answer.message))
  }

  function ended(dead: Process, cause: Error): void {
    if (current === dead) current = null
    const error = new Problem(httpProblems, 'service_busy', 'the process that tried it ended', { cause })
    for (const trial of dead.running.values()) {
      clearTimeout(trial.overdue)
      trial.reject(error)
    }
    dead.running.clear()
  }

  function stop(of: Process): void {
    if (current === of) current = null
    of.child.kill('SIGKILL')
  }

  function hung(dead: Process): void {
    ended(dead, new Error(`a trial was not answered within ${ANSWER_MS_MAX / 1_000} s`))
    stop(dead)
  }

  return {
    run: (draft, limit, gone) =>
      new Promise((resolve, reject) => {
        if (closed || gone.aborted) throw new Problem(httpProblems, 'service_busy', 'nobody waits for it')
        current ??= start()
        const { child, running, idle } = current
        if (running.size >= LIMITS.workMax)
          throw new Problem(httpProblems, 'service_busy', `${running.size} trials on the fleet run already`)
        clearTimeout(idle ?? undefined)
        last += 1
        const id = last
        const overdue = setTimeout(hung, ANSWER_MS_MAX, current)
        running.set(id, { resolve, reject, overdue })
        const tell = (message: TrialMessage) => void (child.connected && child.send(message, () => {}))
        tell({ id, draft, limit })
        const leave = () => {
          if (running.has(id)) tell({ id, draft: null })
        }
        gone.addEventListener('abort', leave, { once: true })
      }),
    async close() {
      closed = true
      if (current === null) return
      const { child } = current
      const exited = new Promise(resolve => child.once('exit', resolve))
      stop(current)
      await exited
    },
  }
}

function asError(reason: string | null, message: string): Error {
  return reason === null || !isProblem(reason) ? new Error(message) : new Problem(problems, reason, message)
}

function isProblem(reason: string): reason is keyof typeof problems {
  return Object.hasOwn(problems, reason)
}
