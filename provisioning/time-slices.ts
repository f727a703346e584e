// Long work in slices: whatever is asked at once, one slice of one piece of work runs in a turn of the event loop, and
// requests are served between two of them. Knows nothing of what the work is.
import { httpProblems } from './http/http-problems.ts'
import { Problem } from './http/problem.ts'

export type TimeSlices = {
  /**
   * Runs the generator to its end in turns with other work, and gives what it returns. It yields as often as it can: what
   * lies between two yields is not divided. `gone` is asked before each slice: nobody waits for the rest then.
   * @throws Problem `service_busy` where too much work runs already, or nobody waits any more
   */
  run<Result>(work: Generator<unknown, Result>, gone?: () => boolean): Promise<Result>
}

type TimeSliceLimits = { sliceMs: number; workMax: number }

type Work = {
  steps: Generator<unknown, unknown>
  gone(): boolean
  resolve(result: unknown): void
  reject(error: unknown): void
}

const limits: TimeSliceLimits = { sliceMs: 2, workMax: 16 }

export function createTimeSlices({ sliceMs, workMax } = limits): TimeSlices {
  const waiting: Work[] = []
  let scheduled = false

  function schedule(): void {
    if (scheduled || waiting.length === 0) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      slice()
      schedule()
    })
  }

  /** The work whose turn it is, then the next one's. */
  function slice(): void {
    const work = waiting.shift()
    if (work === undefined) return
    const end = performance.now() + sliceMs
    try {
      if (work.gone()) throw new Problem(httpProblems, 'service_busy', 'the caller went away')
      do {
        const { done, value } = work.steps.next()
        if (done === true) {
          work.resolve(value)
          return
        }
      } while (performance.now() < end)
      waiting.push(work)
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
        waiting.push({ steps, gone, resolve: result => resolve(result as Result), reject })
        schedule()
      }),
  }
}
