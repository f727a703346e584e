// What the log and the counters say of the files of events and of the history.
import type { Logger } from 'pino'
import type { ProvisioningMetrics } from '../metrics.ts'

export function eventMessages(logger: Logger, metrics: ProvisioningMetrics) {
  return {
    eventsDropped: (count: number) => metrics.eventsDropped.inc(count),
    eventLogFailed: (error: unknown) => {
      metrics.eventLogFailures.inc()
      logger.error({ err: error }, 'event log cannot be used: events are lost, nothing else')
    },
    eventLogSetAside: (file: string, error: unknown) => {
      metrics.eventLogFailures.inc()
      logger.error({ file, err: error }, 'event log damaged: set aside, beginning a new one')
    },
    historyFailed: (error: unknown) =>
      logger.error({ err: error }, 'history cannot be read or written: figures wait or are lost'),
    historySetAside: (file: string, error: unknown) =>
      logger.error({ file, err: error }, 'history damaged: set aside, beginning a new one'),
  }
}
