// A process on any runtime that makes attempts as it is told, one after the other, and says how each ended.
import { resultName } from '../../../device-sim/links/connect-result.ts'
import { openLightweightLink } from '../../../device-sim/links/lightweight.ts'
import type { LinkOptions } from '../../../device-sim/links/session.ts'
import { createSchedule } from '../../../device-sim/schedule.ts'

process.once('message', async (attempts: LinkOptions[]) => {
  const schedule = createSchedule()
  const results: string[] = []
  for (const options of attempts) {
    const { result, session } = await openLightweightLink(options, schedule).settled
    session?.cut()
    results.push(resultName(result))
  }
  process.send?.(results, () => process.exit(0))
})
