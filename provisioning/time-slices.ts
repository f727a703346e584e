// Long work in slices: whatever is asked at once, one slice of one piece of work runs in a turn of the event loop, and
// requests are served between two of them. Knows nothing of what the work is.
import { httpProblems } from './http/http-problems.ts'
import { Problem } from './http/problem.ts'

/** The work had as much time to itself as one piece of it may have. */
export class WorkTooLong extends Error {
  override readonly name = 'WorkTooLong'
}

export type TimeSlices = {
  /**
   * Runs the generator to its end in turns with other work, and gives what it returns. It yields as often as it can: what
   * lies between two yields is not divided. `gone` is asked before each slice: nobody waits for the rest then.
   * @throws Problem `service_busy` where too much work runs already, nobody waits any more, or it has waited for too long
   * @throws WorkTooLong
   */
  run<Result>(work: Generator<unknown, Result>, gone?: () => boolean): Promise<Result>
}

export type TimeSliceLimits = {
  sliceMs: number
  workMax: number
  /** So many pieces of work are in progress, and hold memory, at once; the others wait in the order they came. */
  begunMax?: number
  /** The slices of one piece of work together, by `workClock`. */
  workMsMax?: number
  /** From its beginning, with the work of others between. */
  waitMsMax?: number
}

type Work = {
  steps: Generator<unknown, unknown>
  since: number
  usedMs: number
  gone(): boolean
  resolve(result: unknown): void
  reject(error: unknown): void
}

/** `workClock` gives ms: of the CPU, where others may be served before this process. */
export function createTimeSlices(
  {
    sliceMs,
    workMax,
    begunMax = workMax,
    workMsMax = Number.POSITIVE_INFINITY,
    waitMsMax = Number.POSITIVE_INFINITY,
  }: TimeSliceLimits,
  workClock = (): number => performance.now(),
): TimeSlices {
  const waiting: Work[] = []
  let scheduled = false

  function schedule(): void {
    if (scheduled || waiting.length === 0) return
    scheduled = true
    setImmediate(turn)
  }

  function turn(): void {
    scheduled = false
    slice()
    schedule()
  }

  /** Ends work that nobody waits for, also where it has not begun; else runs a slice of the work whose turn it is. */
  function slice(): void {
    const left = waiting.findIndex(({ gone }) => gone())
    const [work] = waiting.splice(Math.max(left, 0), 1)
    if (work === undefined) return
    const began = workClock()
    const end = performance.now() + sliceMs
    try {
      if (left >= 0) throw new Problem(httpProblems, 'service_busy', 'the caller went away')
      do {
        const { done, value } = work.steps.next()
        if (done === true) {
          work.resolve(value)
          return
        }
      } while (performance.now() < end)
      const now = performance.now()
      work.usedMs += workClock() - began
      if (work.usedMs >= workMsMax) throw new WorkTooLong(`it takes more than ${workMsMax / 1_000} s`)
      if (now - work.since >= waitMsMax)
        throw new Problem(
          httpProblems,
          'service_busy',
          `it did not end within ${waitMsMax / 1_000} s beside other work`,
        )
      waiting.splice(begunMax - 1, 0, work)
    } catch (error) {
      work.reject(error)
    }
  }

  return {
    run: <Result>(steps: Generator<unknown, Result>, gone = () => false) =>
      new Promise<Result>((resolve, reject) => {
        if (waiting.length >= workMax)
          throw new Problem(
            httpProblems,
            'service_busy',
            `${workMax} long questions are being worked on already`,
          )
        waiting.push({
          ...{ steps, since: performance.now(), usedMs: 0, gone, reject },
          resolve: result => resolve(result as Result),
        })
        schedule()
      }),
  }
}
