// Waiting for brokers to act on a change, told as a span.
import { inSpan } from '../admin/tracing.ts'
import { awaitReceipt, type Receipt } from '../db/change-feed.ts'
import type { Registry } from '../db/index.ts'
import type { SharedStorage } from './shared-storage.ts'

/** A receipt as the API gives it. */
export type ReceiptAnswer = Receipt & {
  /**
   * RFC 3339 UTC: from then on no unreachable broker can have a session that the change ended; null where that
   * cannot be said, left out where all acknowledged and on one machine.
   */
  noSessionAfter?: string | null
}
/** `epochs` are all those of one change, where it has several; `epoch` is the last of them. */
export type AwaitReceipt = (epoch: number, epochs?: readonly number[]) => Promise<ReceiptAnswer>

export function createReceipt(
  reading: Registry,
  deadlineMs: number,
  shared: Pick<SharedStorage, 'boundOf'> | null,
  now: () => number,
): AwaitReceipt {
  /** The change is on record when this is asked: brokers were told of it before `committedAt`, or have not heard since. */
  async function bounded(receipt: Receipt, committedAt: number): Promise<ReceiptAnswer> {
    if (shared === null || receipt.unreachable.length === 0) return receipt
    const boundMs = await shared.boundOf(receipt.unreachable).catch(() => null)
    return {
      ...receipt,
      noSessionAfter: boundMs === null ? null : new Date(committedAt + boundMs).toISOString(),
    }
  }
  return (epoch, epochs) =>
    inSpan(
      'rollcall.receipt',
      { 'rollcall.epoch': epoch },
      async () => {
        const committedAt = now()
        return bounded(await awaitReceipt(reading, epoch, deadlineMs, epochs), committedAt)
      },
      ({ nodesTotal, nodesAcknowledged, sessionsCut }) => ({
        'rollcall.brokers': nodesTotal,
        'rollcall.brokers_acknowledged': nodesAcknowledged,
        'rollcall.sessions_cut': sessionsCut,
      }),
    )
}
