// What the log says about messages of devices: retained ones, their list and their clearing.
import type { Logger } from 'pino'
import type { ProvisioningMetrics } from '../metrics.ts'

type Caller = { requestId: string; actor: string }

export function messageEvents(logger: Logger, metrics: ProvisioningMetrics) {
  return {
    retainedCleared: (caller: Caller, topics: number) => {
      metrics.changes.inc({ change: 'retained_cleared' }, topics)
      logger.info({ ...caller, topics }, 'retained messages cleared')
    },
    retainedIndexFailed: (error: unknown) =>
      logger.error({ err: error }, 'index of retained messages cannot be read'),
  }
}
