// Waiting for brokers to act on a change, told as a span.
import { inSpan } from '../admin/tracing.ts'
import { awaitReceipt, type Receipt } from '../db/change-feed.ts'
import type { Registry } from '../db/index.ts'

/** `epochs` are all those of one change, where it has several; `epoch` is the last of them. */
export type AwaitReceipt = (epoch: number, epochs?: readonly number[]) => Promise<Receipt>

export function createReceipt(reading: Registry, deadlineMs: number): AwaitReceipt {
  return (epoch, epochs) =>
    inSpan(
      'rollcall.receipt',
      { 'rollcall.epoch': epoch },
      () => awaitReceipt(reading, epoch, deadlineMs, epochs),
      ({ nodesTotal, nodesAcknowledged, sessionsCut }) => ({
        'rollcall.brokers': nodesTotal,
        'rollcall.brokers_acknowledged': nodesAcknowledged,
        'rollcall.sessions_cut': sessionsCut,
      }),
    )
}
