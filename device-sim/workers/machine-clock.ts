// The monotonic clock that all processes of a machine share, in milliseconds. Bun's begins anew in each process: there the parent is
// asked for the time. Does not know how questions travel.
import { createClockEstimate } from './clock-estimate.ts'

/** Half of a way to and fro that is short enough, and how many questions it may take. */
const ERROR_MAX_MS = 0.2
const QUESTIONS_MAX = 64

/** Node's is the machine's. */
let offsetMs = Number(process.hrtime.bigint() / 1000n) / 1000 - performance.now()

export function machineNow(): number {
  return offsetMs + performance.now()
}

export type ClockQuestions = {
  /** The parent's answer to the question asked at that time by our own clock. */
  answer(askedAt: number, now: number): void
  /** Resolves to the most by which `machineNow` is wrong, in milliseconds. */
  known: Promise<number>
}

/** Asks until the answers are good enough; nothing is asked where the clock is the machine's. */
export function askForMachineClock(ask: (at: number) => void): ClockQuestions {
  if (process.versions['bun'] === undefined) return { answer: () => {}, known: Promise.resolve(0) }
  const { promise: known, resolve } = Promise.withResolvers<number>()
  const clock = createClockEstimate()
  let questions = 1
  ask(performance.now())
  return {
    known,
    answer(askedAt, now) {
      const at = performance.now()
      clock.add(askedAt, now, at)
      offsetMs = clock.offsetMs()
      if (clock.errorMs(at) <= ERROR_MAX_MS || questions++ >= QUESTIONS_MAX) resolve(clock.errorMs(at))
      else ask(performance.now())
    },
  }
}
