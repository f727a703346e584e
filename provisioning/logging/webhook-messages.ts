// What is said of webhooks: one function per message, with its counter.
import type { Logger } from 'pino'
import type { ProvisioningMetrics } from '../metrics.ts'

type Caller = { requestId: string; actor: string }

export function webhookEvents(logger: Logger, metrics: ProvisioningMetrics) {
  return {
    webhookChanged: (caller: Caller, webhookId: string, change: string) => {
      metrics.changes.inc({ change: `webhook_${change}` })
      logger.info({ ...caller, webhookId, change }, 'webhook changed')
    },
    webhookAnswered: ({ delivered }: { delivered: boolean }) =>
      metrics.webhookDeliveries.inc({ outcome: delivered ? 'delivered' : 'failed' }),
    webhookFailing: (webhookId: string, { status, why }: { status: number | null; why: string | null }) =>
      logger.warn({ webhookId, status, why }, 'webhook not delivered: trying again'),
    webhookDisabled: (webhookId: string, reason: string) =>
      logger.error({ webhookId, reason }, 'webhook disabled: it took nothing for too long'),
    webhookEventFailed: (webhookId: string, event: number | null, error: unknown) =>
      logger.error(
        { webhookId, event, err: error },
        'a webhook failed at an event: it is tried again, then left out',
      ),
    webhooksNotRead: (error: unknown) =>
      logger.warn({ err: error }, 'webhooks not looked at: the registry cannot be used now'),
  }
}
