// Waiting for brokers to act on a change, told as a span.
import { inSpan } from '../admin/tracing.ts'
import { awaitReceipt, type Receipt } from '../db/change-feed.ts'
import type { Registry } from '../db/index.ts'

export function createReceipt(reading: Registry, deadlineMs: number): (epoch: number) => Promise<Receipt> {
  return epoch =>
    inSpan(
      'rollcall.receipt',
      { 'rollcall.epoch': epoch },
      () => awaitReceipt(reading, epoch, deadlineMs),
      ({ nodesTotal, nodesAcknowledged, sessionsCut }) => ({
        'rollcall.brokers': nodesTotal,
        'rollcall.brokers_acknowledged': nodesAcknowledged,
        'rollcall.sessions_cut': sessionsCut,
      }),
    )
}
