// One verb on many devices: their selection, and the verb on each, a few at a time, until done or told to stop.

import type { Page, StateReceipt } from '../../../client/types.ts'
import { ask, change, query } from '../../api/request.ts'
import type { ListedDevice } from '../../api/response-types.ts'

export type BulkVerb = 'suspend' | 'activate' | 'decommission'
export type BulkOutcome = { id: string; receipt: StateReceipt | null; failure: string | null }

/** More at once are a matter for the command line, which can be left alone. */
export const BULK_MAX = 2_000
const PAGE_SIZE = 500
const AT_ONCE = 4

/** The devices that match a filter; `complete` is false where there are more than can be done here. */
export async function matching(
  filter: Record<string, string | null>,
  signal: AbortSignal,
): Promise<{ ids: string[]; complete: boolean }> {
  const ids: string[] = []
  let cursor: string | null = null
  do {
    const page: Page<ListedDevice> = await ask(
      `/v1/devices${query({ ...filter, limit: PAGE_SIZE, cursor })}`,
      {
        signal,
      },
    )
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== null && ids.length < BULK_MAX)
  return { ids: ids.slice(0, BULK_MAX), complete: cursor === null && ids.length <= BULK_MAX }
}

export async function runBulk(
  verb: BulkVerb,
  ids: readonly string[],
  { signal, onOutcome }: { signal: AbortSignal; onOutcome: (outcome: BulkOutcome) => void },
): Promise<void> {
  let next = 0
  async function work(): Promise<void> {
    while (next < ids.length && !signal.aborted) {
      const id = ids[next]!
      next += 1
      try {
        const receipt = await change<StateReceipt>('POST', `/v1/devices/${encodeURIComponent(id)}/${verb}`)
        onOutcome({ id, receipt, failure: null })
      } catch (error) {
        onOutcome({ id, receipt: null, failure: error instanceof Error ? error.message : 'failed' })
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}
