// A process on any runtime that makes attempts as it is told, one after the other, and says how each ended.
import { resultName } from '../../../device-sim/links/connect-result.ts'
import { openLightweightLink } from '../../../device-sim/links/lightweight.ts'
import { openLink } from '../../../device-sim/links/mqttjs.ts'
import type { LinkOptions } from '../../../device-sim/links/session.ts'
import { createSchedule } from '../../../device-sim/schedule.ts'

export type AttemptTask = { link: 'lean' | 'mqttjs'; options: LinkOptions }

process.once('message', async (attempts: AttemptTask[]) => {
  const schedule = createSchedule()
  const results: string[] = []
  for (const { link, options } of attempts) {
    const attempt = link === 'lean' ? openLightweightLink(options, schedule) : openLink(options)
    const { result, session } = await attempt.settled
    session?.cut()
    results.push(resultName(result))
  }
  process.send?.(results, () => process.exit(0))
})
