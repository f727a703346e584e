// The thread that tries drafts on the fleet: several by turns, in slices, between which it hears which of them nobody waits for.
import { parentPort, workerData } from 'node:worker_threads'
import { openForReading } from '../../db/open.ts'
import { createPolicyReader } from '../../db/policies/policy-reader.ts'
import { Problem } from '../http/problem.ts'
import { createTimeSlices, WorkTooLong } from '../time-slices.ts'
import { type Draft, tooLarge, tryOnFleet } from './fleet-trial.ts'
import type { TrialAnswer, TrialMessage, TrialThreadData } from './fleet-trials.ts'

const { file, limits } = workerData as TrialThreadData
const reader = createPolicyReader(openForReading(file))
const slices = createTimeSlices(limits)
/** Those that run, and whether their callers went away. */
const gone = new Map<number, boolean>()

parentPort?.on('message', async ({ id, draft, limit }: TrialMessage) => {
  if (draft === null) {
    if (gone.has(id)) gone.set(id, true)
    return
  }
  gone.set(id, false)
  const answer = await tried(draft, limit, () => gone.get(id) === true)
  gone.delete(id)
  parentPort?.postMessage({ id, ...answer } satisfies TrialAnswer)
})

async function tried(draft: Draft, limit: number, isGone: () => boolean) {
  try {
    return { text: JSON.stringify(await slices.run(tryOnFleet(reader, draft, limit), isGone)) }
  } catch (error) {
    const { message } = error as Error
    const problem = error instanceof WorkTooLong ? tooLarge(message) : error
    if (problem instanceof Problem) return { reason: problem.reason, message: problem.message }
    return { reason: null, message }
  }
}
