// The process that tries drafts on the fleet: several by turns, in slices, between which it hears which of them nobody waits for.
// Started by `fleet-trials.ts` alone. Whatever else the machine has to do goes before it.
import { constants, setPriority } from 'node:os'
import { openForReading } from '../../db/open.ts'
import { createPolicyReader } from '../../db/policies/policy-reader.ts'
import { Problem } from '../http/problem.ts'
import { createTimeSlices, WorkTooLong } from '../time-slices.ts'
import { type Draft, tooLarge, tryOnFleet } from './fleet-trial.ts'
import type { TrialAnswer, TrialMessage, TrialProcessOptions } from './fleet-trials.ts'

setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.once('disconnect', () => process.exit())
const { file, limits } = JSON.parse(process.argv[2] ?? '') as TrialProcessOptions
const reader = createPolicyReader(registry())
const slices = createTimeSlices(limits, ownCpuMs)
/** Those that run, and whether their callers went away. */
const gone = new Map<number, boolean>()

process.on('message', async ({ id, draft, limit }: TrialMessage) => {
  if (draft === null) {
    if (gone.has(id)) gone.set(id, true)
    return
  }
  gone.set(id, false)
  const answer = await tried(draft, limit, () => gone.get(id) === true)
  gone.delete(id)
  process.send?.({ id, ...answer } satisfies TrialAnswer)
})

/** Not the clock: what other processes are served meanwhile is no work of a trial's. */
function ownCpuMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

/** Where it cannot be opened the parent is told why, once, and no trial is taken. */
function registry() {
  try {
    return openForReading(file)
  } catch (error) {
    process.send?.({ failed: (error as Error).message } satisfies TrialAnswer, () => process.exit(1))
    throw error
  }
}

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
